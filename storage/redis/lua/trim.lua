-- Drops the entries before a sealed one from the journal, if they were exported; the sealed head stays in their place.
--
-- KEYS[1] meta (hash)   KEYS[2] journal (stream)
-- ARGV[1] number of the entry that becomes the first   ARGV[2] its signed head
--
-- returns {first entry, exported mark}: unchanged when the mark does not reach as far, or the journal begins later

local known = redis.call('HMGET', KEYS[1], 'exported', 'trimmed')
local exported, first, wanted = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(ARGV[1])
if wanted > exported or wanted <= first then return {first, exported} end
redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[1] .. '-0')
redis.call('HSET', KEYS[1], 'trimmed', wanted, 'trim_head', ARGV[2])
return {wanted, exported}
