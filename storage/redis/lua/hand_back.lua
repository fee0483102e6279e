-- Ends a lease, and notes when its destination is to be served next.
--
-- KEYS[1] destinations   KEYS[2] leases (both as in add.lua)   KEYS[3..] errands, a sorted set for each kind
-- ARGV[1] clock offset in ms (tests)   ARGV[2] destination   ARGV[3] fence   ARGV[4] ms to wait with what is due
--
-- returns nothing

local lease = redis.call('HGET', KEYS[2], ARGV[2])
if not lease or string.match(lease, '^%d+') ~= ARGV[3] then return end
redis.call('HDEL', KEYS[2], ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local soonest
for i = 3, #KEYS do
  for _, range in ipairs({{'-inf', now, now + ARGV[4]}, {'(' .. string.format('%.0f', now), '+inf', 0}}) do
    local first = redis.call('ZRANGEBYSCORE', KEYS[i], range[1], range[2], 'WITHSCORES', 'LIMIT', 0, 1)
    local due = first[2] and math.max(tonumber(first[2]), range[3])
    if due and (not soonest or due < soonest) then soonest = due end
  end
end
if soonest then redis.call('ZADD', KEYS[1], soonest, ARGV[2]) else redis.call('ZREM', KEYS[1], ARGV[2]) end
