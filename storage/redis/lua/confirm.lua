-- Writes to a request that still has a version, so that WAIT on this connection covers all that came before.
--
-- KEYS[1] request (hash)
-- ARGV[1] version
--
-- returns 1, or 0 when the request has moved on or is gone

if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'confirmed', ARGV[1])
return 1
