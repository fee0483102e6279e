-- Takes one turn of a destination's pace: the generic cell rate algorithm (GCRA), in microseconds.
--
-- KEYS[1] rate (hash: tat, the theoretical arrival time of the next turn; hold, until when nobody may)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] microseconds from one turn to the next   ARGV[3] burst
--
-- returns 0 when the turn is taken, or the ms after which asking again makes sense

local time = redis.call('TIME')
local now = (time[1] * 1000 + ARGV[1]) * 1000 + time[2]
local known = redis.call('HMGET', KEYS[1], 'tat', 'hold')
local tat = math.max(tonumber(known[1] or 0), now)
local from = math.max(tonumber(known[2] or 0), tat - (ARGV[3] - 1) * ARGV[2])
if from > now then return math.ceil((from - now) / 1000) end
tat = tat + ARGV[2]
redis.call('HSET', KEYS[1], 'tat', string.format('%.0f', tat))
redis.call('PEXPIRE', KEYS[1], math.ceil((tat - now) / 1000) + 1000)
return 0
