-- Reads a request, its posts and the time at one instant.
--
-- KEYS[1] request (hash)   KEYS[2] its document (string)   KEYS[3] posts (hash)   KEYS[4] meta (hash)
-- ARGV[1] clock offset in ms (tests)
--
-- returns {now, {document or nil, version, decision_entry}, {destination, post, …}, the journal's last number}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local request = redis.call('HMGET', KEYS[1], 'doc', 'version', 'decision_entry') -- doc: where earlier versions kept it
request[1] = redis.call('GET', KEYS[2]) or request[1]
return {now, request, redis.call('HGETALL', KEYS[3]), redis.call('HGET', KEYS[4], 'journal') or 0}
