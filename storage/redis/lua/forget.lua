-- Forgets a request that ended long ago, if it is still what it was when somebody decided so.
--
-- KEYS[1] request (hash)   KEYS[2] document   KEYS[3] posts   KEYS[4] decision
-- KEYS[5..] everything that names it (sorted sets)
-- ARGV[1] request id   ARGV[2] version, or '': it is gone already
--
-- returns 1, or 0 when something has happened to it meanwhile

if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[2] then return 0 end
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], 0) end
for i = 5, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
