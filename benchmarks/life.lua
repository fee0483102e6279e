-- All that the server writes for one approval, in one script: what a server can do when nobody has to think.
-- Run by redis-benchmark, which puts a random number for __rand_int__; benchmarks/throughput.py gives the rest.
--
-- KEYS[1] intake  KEYS[2] out  KEYS[3] request  KEYS[4] meta  KEYS[5] journal  KEYS[6] timers  KEYS[7] cards
-- KEYS[8] announcements  KEYS[9] code  KEYS[10] like  KEYS[11] pending  KEYS[12] pending of the agent
-- KEYS[13] pending at the destination  KEYS[14] decision
-- ARGV[1] request id   ARGV[2] request document   ARGV[3] stored document   ARGV[4] journal record
-- ARGV[5] answer   ARGV[6] decision document
--
-- returns 1

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function commit(version, due)
  local number = redis.call('HINCRBY', KEYS[4], 'journal', 1)
  redis.call('XADD', KEYS[5], number .. '-0', 'at', now, 'record', ARGV[4])
  redis.call('HSET', KEYS[3], 'doc', ARGV[3], 'version', version, 'decision_entry', number, 'tokens', number, 'due', due)
  redis.call('ZADD', KEYS[6], due, ARGV[1])
  redis.call('ZADD', KEYS[7], now, ARGV[1])
end

-- The agent asks, the bot takes the request in and answers.
local entry = redis.call('XADD', KEYS[1], '*', 'type', 'request', 'body', ARGV[2])
commit(1, now + 1800000)
for i = 9, 13 do redis.call('ZADD', KEYS[i], now, ARGV[1]) end
redis.call('XDEL', KEYS[1], entry)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'pending', 'body', ARGV[5])

-- A person votes, and the decision is published.
commit(2, now + 900000)
for i = 11, 13 do redis.call('ZREM', KEYS[i], ARGV[1]) end
redis.call('ZADD', KEYS[8], now, ARGV[1])
redis.call('SET', KEYS[14], ARGV[6], 'PX', 86400000)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'decision', 'body', ARGV[6])
redis.call('HSET', KEYS[3], 'published', 2)
redis.call('ZREM', KEYS[8], ARGV[1])
return 1
