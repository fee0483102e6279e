-- Puts what somebody did to their stream into the journal, unless the same was noticed before.
--
-- KEYS[1] meta (hash)   KEYS[2] journal (stream)   KEYS[3] troubles (hash: owner to when and what)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] owner   ARGV[3] what   ARGV[4] journal record
--
-- returns 1 when it is new, or 0

local known = redis.call('HGET', KEYS[3], ARGV[2])
if known and string.match(known, '^%d+ (.*)$') == ARGV[3] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local number = tonumber(redis.call('HGET', KEYS[1], 'journal') or 0) + 1
redis.call('XADD', KEYS[2], number .. '-0', 'at', now, 'record', ARGV[4])
redis.call('HSET', KEYS[1], 'journal', number)
redis.call('HSET', KEYS[3], ARGV[2], string.format('%.0f %s', now, ARGV[3]))
return 1
