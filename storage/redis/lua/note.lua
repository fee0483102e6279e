-- Puts an entry into the journal that changes no request.
--
-- KEYS[1] meta (hash)   KEYS[2] journal (stream)
-- ARGV[1] clock offset in ms (tests)   ARGV[2] record   ARGV[3] token, hexadecimal
--
-- returns its number; the same number when the client sends the same token again

local known = redis.call('HMGET', KEYS[1], 'journal', 'notes')
local notes = known[2] or ''
local before = string.match(notes, ARGV[3] .. '=(%d+);')
if before then return tonumber(before) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local number = tonumber(known[1] or 0) + 1
redis.call('XADD', KEYS[2], number .. '-0', 'at', now, 'record', ARGV[2])
redis.call('HSET', KEYS[1], 'journal', number, 'notes', string.sub(ARGV[3] .. '=' .. number .. ';' .. notes, 1, 1000))
return number
