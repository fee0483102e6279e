-- Hands out what is due, and hides it from others while the lease lasts.
--
-- KEYS[1] queue (sorted set: request id by due ms)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] how many at most   ARGV[3] lease in ms
--
-- returns the request ids, the longest overdue first

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now + ARGV[3], id) end
return ids
