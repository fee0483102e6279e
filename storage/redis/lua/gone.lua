-- Expects nothing more of a silent agent, unless it was heard of since it was handed out as silent.
--
-- KEYS[1] silent (sorted set: agent by due ms)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] agent   ARGV[3] lease under which it was handed out, in ms
--
-- returns 1, or 0 when nothing was changed

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local due = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[2]) or '')
if not due or due > now + ARGV[3] then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[2])
