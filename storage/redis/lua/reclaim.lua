-- Takes over entries whose taker has been silent for long.
--
-- KEYS[1] intake (stream)
-- ARGV[1] consumer group   ARGV[2] consumer   ARGV[3] idle in ms   ARGV[4] how many at most
--
-- returns {{id, how often it was handed out, {field, value, …}}, …}; what its agent has erased is only forgotten

local taken = {}
for _, known in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])) do
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], known[1])
  if claimed[1] then
    taken[#taken + 1] = {known[1], known[4] + 1, claimed[1][2]}
  else
    redis.call('XACK', KEYS[1], ARGV[1], known[1])
  end
end
return taken
