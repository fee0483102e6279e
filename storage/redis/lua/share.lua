-- Puts a share into a window, or changes what stands there, and tells what the window comes to.
--
-- An amount is high * 10^9 + low, and each of the two is summed by itself: Lua's numbers are exact up to 2^53 only.
--
-- KEYS[1] amounts (hash: holder to 'high low tokens'; the totals under 'high' and 'low')
-- KEYS[2] counted (sorted set: holder by the ms until which its share counts)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] holder   ARGV[3] high   ARGV[4] low
-- ARGV[5] 'reserve' | 'release' | 'recount'
-- ARGV[6] reserve: the ms for which it counts; recount: the ms until which it does, 0: no more
-- ARGV[7] reserve, release: the token (16 characters) of who wants it to count; it stays while any of them does
--
-- returns {high, low} of the window

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local holder, mode, token = ARGV[2], ARGV[5], ARGV[7]

local function read(text)
  local high, low, tokens = string.match(text or '0 0 ', '^(%d+) (%d+) (.*)$')
  return tonumber(high), tonumber(low), tokens
end

local known = redis.call('HMGET', KEYS[1], 'high', 'low', holder)
local high, low = tonumber(known[1] or 0), tonumber(known[2] or 0)
local was_high, was_low, tokens = read(known[3])
local ends = false

if mode == 'reserve' then
  if not string.find(tokens, token, 1, true) then
    tokens = tokens .. (#tokens < 512 and token or '*') -- too many to remember: then it is never released
  end
  ends = math.max(now + ARGV[6], tonumber(redis.call('ZSCORE', KEYS[2], holder) or 0))
elseif known[3] and mode == 'release' then
  local from, to = string.find(tokens, token, 1, true)
  if from then tokens = string.sub(tokens, 1, from - 1) .. string.sub(tokens, to + 1) end
  ends = tokens == '' and 0
elseif known[3] then
  ends = tonumber(ARGV[6])
end

if known[3] or mode == 'reserve' then
  high, low = high + ARGV[3] - was_high, low + ARGV[4] - was_low
  redis.call('HSET', KEYS[1], holder, ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. tokens)
end
if ends then redis.call('ZADD', KEYS[2], string.format('%.0f', ends), holder) end

-- What counts no more; so many at once that none waits for long, and what still waits counts.
for _, over in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 500)) do
  local over_high, over_low = read(redis.call('HGET', KEYS[1], over))
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
