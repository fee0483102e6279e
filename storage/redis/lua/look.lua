-- Reads what is due at a destination, for whoever holds its lease, and extends the lease.
--
-- KEYS[1] destinations   KEYS[2] leases (both as in add.lua)   KEYS[3..] errands, a sorted set for each kind
-- ARGV[1] clock offset in ms (tests)   ARGV[2] destination   ARGV[3] fence   ARGV[4] lease in ms
-- ARGV[5] how many of each kind at most
--
-- returns for each kind: subject, mark, subject, mark …; or nothing when somebody else has the lease

local lease = redis.call('HGET', KEYS[2], ARGV[2])
if not lease or string.match(lease, '^%d+') ~= ARGV[3] then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local till = string.format('%.0f', now + ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. till)
redis.call('ZADD', KEYS[1], till, ARGV[2])
local found = {}
for i = 3, #KEYS do
  table.insert(found, redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[5]))
end
return found
