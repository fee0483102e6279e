-- Marks how far the journal lies outside Redis; the mark never moves back.
--
-- KEYS[1] meta (hash)
-- ARGV[1] number of the last exported entry
--
-- returns the mark, or -1 when there is no such entry

local known = redis.call('HMGET', KEYS[1], 'journal', 'exported')
local mark, number = tonumber(known[2] or 0), tonumber(ARGV[1])
if number > tonumber(known[1] or 0) then return -1 end
if number > mark then
  redis.call('HSET', KEYS[1], 'exported', number)
  return number
end
return mark
