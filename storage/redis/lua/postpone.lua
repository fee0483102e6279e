-- Gives leased work back, to be due later; work that somebody else has ended stays ended.
--
-- KEYS[1] queue (sorted set)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] request id   ARGV[3] delay in ms
--
-- returns nothing

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[3], ARGV[2])
