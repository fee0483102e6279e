-- Lets errands wait for a destination. What waits already keeps its place; its mark changes if it may be in hand now.
--
-- KEYS[1] errands (sorted set: subject by due ms, which is its mark)
-- KEYS[2] destinations (sorted set: by when to be served next)   KEYS[3] leases (hash: destination to 'fence until')
-- ARGV[1] clock offset in ms (tests)   ARGV[2] destination   ARGV[3] delay in ms   ARGV[4..] subjects
--
-- returns nothing

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local due = now + ARGV[3]
for i = 4, #ARGV do
  local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or '')
  if not known then
    redis.call('ZADD', KEYS[1], due, ARGV[i])
  elseif known <= now then
    redis.call('ZADD', KEYS[1], known - 1, ARGV[i])
  end
end
local lease = redis.call('HGET', KEYS[3], ARGV[2])
if not lease or tonumber(string.match(lease, '%d+$')) <= now then redis.call('ZADD', KEYS[2], 'LT', due, ARGV[2]) end
