-- Hands out destinations where something is due, and hides them from others while the lease lasts.
--
-- KEYS[1] destinations (sorted set, as in add.lua)   KEYS[2] leases (hash, as in add.lua; fences, the last one given)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] how many at most   ARGV[3] lease in ms
--
-- returns destination, fence, destination, fence …

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local till = string.format('%.0f', now + ARGV[3])
local taken = {}
for _, destination in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local fence = tonumber(redis.call('HGET', KEYS[2], 'fences') or 0) + 1
  redis.call('HSET', KEYS[2], 'fences', fence, destination, fence .. ' ' .. till)
  redis.call('ZADD', KEYS[1], till, destination)
  table.insert(taken, destination)
  table.insert(taken, fence)
end
return taken
