-- Takes errands out, or lets them be due again, unless they were added again meanwhile; only for the lease's holder.
--
-- KEYS[1] errands   KEYS[2] leases (both as in add.lua)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] destination   ARGV[3] fence   ARGV[4] ms until they are due again, or ''
-- ARGV[5..] subject, mark, subject, mark …
--
-- returns nothing

local lease = redis.call('HGET', KEYS[2], ARGV[2])
if not lease or string.match(lease, '^%d+') ~= ARGV[3] then return end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 5, #ARGV, 2 do
  local mark = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or '')
  if mark and mark == tonumber(ARGV[i + 1]) then
    if ARGV[4] == '' then
      redis.call('ZREM', KEYS[1], ARGV[i])
    else
      redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[i])
    end
  end
end
