-- Looks for what only the owner of an intake stream can have done to it.
--
-- KEYS[1] intake
-- ARGV[1] consumer group   ARGV[2] how many entries are too many
--
-- returns {what, how much}: 'replaced' and what it is now | 'blocked' (it takes no more: its last id is the largest)
-- | 'erased' and how many entries nobody had read yet | 'flooded' and its length | or {''}

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {''} end
if kind ~= 'stream' then return {'replaced', kind} end

local function members(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local stream = members(redis.call('XINFO', 'STREAM', KEYS[1]))
local last = '18446744073709551615-18446744073709551615'
if stream['last-generated-id'] == last then return {'blocked', last} end

for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = members(flat)
  local read = group['entries-read']
  local unread = group['name'] == ARGV[1] and read and stream['entries-added'] - read or 0
  if unread > 0 and unread <= tonumber(ARGV[2]) then
    local there = #redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', unread)
    if there < unread then return {'erased', unread - there} end
  end
end
if stream['length'] > tonumber(ARGV[2]) then return {'flooded', stream['length']} end
return {''}
