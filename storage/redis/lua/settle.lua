-- Ends the work of a request in a queue, if the request is still what the work was done for.
--
-- KEYS[1] queue (sorted set)   KEYS[2] request (hash)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] request id   ARGV[3] version   ARGV[4] '1': the queue of timers
--
-- returns 1 when it ended (a timer that lies ahead is set again: the lease had moved it), 0 when it is due again

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local known = redis.call('HMGET', KEYS[2], 'version', 'due')
if known[1] and known[1] ~= ARGV[3] then
  redis.call('ZADD', KEYS[1], now, ARGV[2])
  return 0
end
local due = ARGV[4] == '1' and tonumber(known[2] or '')
if due and due > now then redis.call('ZADD', KEYS[1], due, ARGV[2]) else redis.call('ZREM', KEYS[1], ARGV[2]) end
return 1
