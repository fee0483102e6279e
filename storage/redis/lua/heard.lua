-- Notes that an agent is there: it is due as silent after its patience, unless it is heard of again.
--
-- KEYS[1] silent (sorted set: agent by due ms)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] agent   ARGV[3] patience in ms
--
-- returns nothing

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
