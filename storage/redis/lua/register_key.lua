-- Registers the public half of a signing key, if no other key is registered.
--
-- KEYS[1] keys (hash: key id to public JWK)   KEYS[2] meta (hash)   KEYS[3] journal (stream)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] key id   ARGV[3] public JWK   ARGV[4] journal record
--
-- returns 1 when this key is registered now, 0 when others are

if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then return 1 end
if redis.call('HLEN', KEYS[1]) > 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local number = tonumber(redis.call('HGET', KEYS[2], 'journal') or 0) + 1
redis.call('XADD', KEYS[3], number .. '-0', 'at', now, 'record', ARGV[4])
redis.call('HSET', KEYS[2], 'journal', number)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
