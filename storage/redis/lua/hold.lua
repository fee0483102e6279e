-- Lets nobody post to a destination for a while; a longer hold stays.
--
-- KEYS[1] rate (hash, as in rate.lua)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] ms
--
-- returns nothing

local time = redis.call('TIME')
local now = (time[1] * 1000 + ARGV[1]) * 1000 + time[2]
local known = redis.call('HMGET', KEYS[1], 'tat', 'hold')
local hold = math.max(tonumber(known[2] or 0), now + ARGV[2] * 1000)
redis.call('HSET', KEYS[1], 'hold', string.format('%.0f', hold))
local last = math.max(hold, tonumber(known[1] or 0))
redis.call('PEXPIRE', KEYS[1], math.ceil((last - now) / 1000) + 1000)
