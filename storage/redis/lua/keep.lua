-- Puts a small document down, or takes it away, if what lies there is what the caller knows.
--
-- KEYS[1] kept (hash)   KEYS[2] folder (sorted set)   KEYS[3] meta (hash)   KEYS[4] journal (stream)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] name   ARGV[3] document, or '': take it away
-- ARGV[4] the version that must lie there (0: none), or '': whichever   ARGV[5] ms after which it is forgotten, or ''
-- ARGV[6] journal record, or ''   ARGV[7] token, hexadecimal
--
-- returns the new version, 0 where nothing lies there now, -1 where another version does;
-- what the same token put down is not put down again

local known = redis.call('HMGET', KEYS[1], 'version', 'until', 'token')
if known[3] == ARGV[7] then return tonumber(known[1]) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local there = known[1] and tonumber(known[2]) > now
local version = there and tonumber(known[1]) or 0
local removing = ARGV[3] == ''
if removing and not there then return 0 end
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then return -1 end

if ARGV[6] ~= '' then
  local number = tonumber(redis.call('HGET', KEYS[3], 'journal') or 0) + 1
  redis.call('HSET', KEYS[3], 'journal', number)
  redis.call('XADD', KEYS[4], number .. '-0', 'at', now, 'record', ARGV[6])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if removing then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], 0)
  return 0
end
local forever = 9007199254740991
local ends = ARGV[5] == '' and forever or now + ARGV[5]
redis.call('HSET', KEYS[1], 'version', version + 1, 'document', ARGV[3], 'until', string.format('%.0f', ends),
  'token', ARGV[7])
if ARGV[5] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
redis.call('ZADD', KEYS[2], string.format('%.0f', ends), ARGV[2])
return version + 1
