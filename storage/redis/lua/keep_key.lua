-- Registers a further signing key, or replaces what is registered of one, if what lies there is what the caller knows.
--
-- KEYS[1] keys (hash: key id to public JWK)   KEYS[2] meta (hash)   KEYS[3] journal (stream)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] key id   ARGV[3] document   ARGV[4] the document that must lie there, or ''
-- ARGV[5] journal record
--
-- returns 1 when this is registered now, 0 when something else is

local known = redis.call('HGET', KEYS[1], ARGV[2])
if known == ARGV[3] then return 1 end
if (known or '') ~= ARGV[4] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local number = tonumber(redis.call('HGET', KEYS[2], 'journal') or 0) + 1
redis.call('XADD', KEYS[3], number .. '-0', 'at', now, 'record', ARGV[5])
redis.call('HSET', KEYS[2], 'journal', number)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
