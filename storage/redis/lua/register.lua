-- Registers the first signing key of a deployment, never a second one.
--
-- KEYS[1] register (hash: key id to public JWK)
-- ARGV[1] key id   ARGV[2] public JWK
--
-- returns 2 if it is registered now, 1 if it was before, 0 if only another one is

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call('HLEN', KEYS[1]) > 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 2
