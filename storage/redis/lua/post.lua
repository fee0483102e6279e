-- Records what is at a destination, for as long as the request itself is kept.
--
-- KEYS[1] request (hash)   KEYS[2] posts (hash)
-- ARGV[1] destination   ARGV[2] post   ARGV[3] '1': not where a card is already
--
-- returns {'recorded'} | {'known', the post} | {'missing'}

if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
local known = ARGV[3] == '1' and redis.call('HGET', KEYS[2], ARGV[1])
if known and cjson.decode(known).state == 'posted' then return {'known', known} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
return {'recorded'}
