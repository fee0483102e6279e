-- Reads what a new request depends on: whether it exists, the time, which others ask for the same; and takes a turn of
-- its agent's pace, if it does not exist.
--
-- KEYS[1] request (hash)   KEYS[2] its document (string)   KEYS[3] posts (hash)
-- KEYS[4] like (sorted set: request id by asked_at)   KEYS[5] rate of the agent (hash, as in rate.lua)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] microseconds from one turn to the next, or '': no limit   ARGV[3] burst
--
-- returns {now, {document or nil, version, decision_entry}, {destination, post, …}, the newest five ids of KEYS[4],
-- the ms after which asking again makes sense, or 0}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local request = redis.call('HMGET', KEYS[1], 'doc', 'version', 'decision_entry') -- doc: where earlier versions kept it
request[1] = redis.call('GET', KEYS[2]) or request[1]
local wait = 0
if not request[1] and ARGV[2] ~= '' then
  local micros = (time[1] * 1000 + ARGV[1]) * 1000 + time[2]
  local tat = math.max(tonumber(redis.call('HGET', KEYS[5], 'tat') or 0), micros)
  local from = tat - (ARGV[3] - 1) * ARGV[2]
  if from > micros then
    wait = math.ceil((from - micros) / 1000)
  else
    tat = tat + ARGV[2]
    redis.call('HSET', KEYS[5], 'tat', string.format('%.0f', tat))
    redis.call('PEXPIRE', KEYS[5], math.ceil((tat - micros) / 1000) + 1000)
  end
end
return {now, request, redis.call('HGETALL', KEYS[3]), redis.call('ZRANGE', KEYS[4], 0, 4, 'REV'), wait}
