-- Puts a request's share into a window, or changes what stands there, and tells what the window comes to.
--
-- An amount is high * 10^9 + low, and each of the two is summed by itself: Lua's numbers are exact up to 2^53 only.
--
-- KEYS[1] amounts (hash: request id to 'high low'; the totals under 'high' and 'low')
-- KEYS[2] counted (sorted set: request id by the ms until which it counts)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] request id   ARGV[3] high   ARGV[4] low
-- ARGV[5] ms for which it counts from now on, or '': it stands there already, or is left away
-- ARGV[6] ms until which it counts, where ARGV[5] is ''; a time that has passed takes it away
--
-- returns {high, low} of the window

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local reserving = ARGV[5] ~= ''

local function split(text)
  local high, low = string.match(text or '0 0', '^(%d+) (%d+)$')
  return tonumber(high), tonumber(low)
end

local totals = redis.call('HMGET', KEYS[1], 'high', 'low', ARGV[2])
local high, low = tonumber(totals[1] or 0), tonumber(totals[2] or 0)

if reserving or totals[3] then
  local known_high, known_low = split(totals[3])
  local new_high, new_low = tonumber(ARGV[3]), tonumber(ARGV[4])
  local larger = known_high > new_high or (known_high == new_high and known_low > new_low)
  if reserving and larger then new_high, new_low = known_high, known_low end
  high, low = high + new_high - known_high, low + new_low - known_low
  redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f %.0f', new_high, new_low))
  redis.call('ZADD', KEYS[2], string.format('%.0f', reserving and now + ARGV[5] or tonumber(ARGV[6])), ARGV[2])
end

-- What counts no more; so many at once that none waits for long, and what still waits counts.
for _, over in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 500)) do
  local over_high, over_low = split(redis.call('HGET', KEYS[1], over))
  high, low = high - over_high, low - over_low
  redis.call('HDEL', KEYS[1], over)
  redis.call('ZREM', KEYS[2], over)
end

high, low = high + math.floor(low / 1e9), low % 1e9
redis.call('HSET', KEYS[1], 'high', string.format('%.0f', high), 'low', string.format('%.0f', low))
-- Nobody need tidy up: the keys outlive the last share by a day.
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] or now
local keep = string.format('%.0f', math.max(last - now, 0) + 86400000)
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
return {string.format('%.0f', high), string.format('%.0f', low)}
