-- Makes a policy the epoch of a partition. Partition 0 goes first and numbers the adoptions; the others follow the
-- highest number, so that two replicas that adopt at once leave one policy behind, not a mixture.
--
-- KEYS[1] meta (hash)   KEYS[2] policy (string)   KEYS[3] journal (stream)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] digest   ARGV[3] policy text   ARGV[4] journal record
-- ARGV[5] the adoption's number, or '' in partition 0   ARGV[6] the epoch it must replace, or ''
--
-- returns the number of the adoption that now holds here, or -1 where another epoch than ARGV[6] does

local known = redis.call('HMGET', KEYS[1], 'epoch', 'epoch_number', 'journal')
local held, follows = tonumber(known[2] or 0), ARGV[5] ~= ''
local number = follows and tonumber(ARGV[5]) or held + 1
if not follows and ARGV[6] ~= '' and known[1] ~= ARGV[6] and known[1] ~= ARGV[2] then return -1 end
redis.call('SET', KEYS[2], ARGV[3])
if number <= held or (not follows and known[1] == ARGV[2]) then return held end

if not follows then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
  local entry = tonumber(known[3] or 0) + 1
  redis.call('XADD', KEYS[3], entry .. '-0', 'at', now, 'record', ARGV[4])
  redis.call('HSET', KEYS[1], 'journal', entry)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'epoch_number', number)
return number
