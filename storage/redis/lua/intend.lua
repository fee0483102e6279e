-- Records that somebody is about to post a card, unless it is posted or about to be. An intention that is there is
-- written again, so that WAIT on this connection covers it.
--
-- KEYS[1] request (hash)   KEYS[2] posts (hash)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] destination   ARGV[3] token of whoever intends
-- ARGV[4] the message that it shares with other requests, or ''
--
-- returns {'intended'} | {'known', the post} | {'missing'}

if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
local post = redis.call('HGET', KEYS[2], ARGV[2])
local known = post and cjson.decode(post)
if known and known.state == 'intended' then
  redis.call('HSET', KEYS[2], ARGV[2], post)
  if known.token == ARGV[3] then return {'intended'} end
end
if known and known.state ~= 'failed' then return {'known', post} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local intended = {state = 'intended', at = now, token = ARGV[3], shared = ARGV[4], tries = known and known.tries or 0}
redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(intended))
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
return {'intended'}
