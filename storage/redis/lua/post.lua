-- Records what is at a destination, for as long as the request itself is kept.
--
-- KEYS[1] request (hash)   KEYS[2] posts (hash)
-- ARGV[1] destination   ARGV[2] post
--
-- returns 1, or 0 when there is no such request

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
return 1
