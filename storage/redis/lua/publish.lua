-- Makes a decision known to its agent, once for each version of the request.
--
-- KEYS[1] request (hash)   KEYS[2] decision (string)   KEYS[3] out (stream)   KEYS[4] announcements (sorted set)
-- ARGV[1] request id   ARGV[2] version   ARGV[3] document   ARGV[4] ms to keep it   ARGV[5] '1': wake the agent again
-- ARGV[6] about how many entries the out stream keeps   ARGV[7] ms to keep it from now on
--
-- returns 1 when it is known now, 0 when the request has moved on and nothing was changed

local known = redis.call('HMGET', KEYS[1], 'version', 'published')
if known[1] ~= ARGV[2] then return 0 end
if known[2] ~= ARGV[2] or ARGV[5] == '1' then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'type', 'decision', 'body', ARGV[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
  redis.call('HSET', KEYS[1], 'published', ARGV[2])
end
redis.call('ZREM', KEYS[4], ARGV[1])
return 1
