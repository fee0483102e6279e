-- Reads a request, its posts and the time at one instant.
--
-- KEYS[1] request (hash)   KEYS[2] its document (string)   KEYS[3] posts (hash)
-- ARGV[1] clock offset in ms (tests)
--
-- returns {now, {document or nil, version, decision_entry}, {destination, post, …}}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local request = redis.call('HMGET', KEYS[1], 'doc', 'version', 'decision_entry') -- doc: where earlier versions kept it
request[1] = redis.call('GET', KEYS[2]) or request[1]
return {now, request, redis.call('HGETALL', KEYS[3])}
