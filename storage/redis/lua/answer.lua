-- Answers an intake entry and removes it, once.
--
-- KEYS[1] intake (stream)   KEYS[2] out (stream)   KEYS[3] dead (stream)
-- ARGV[1] consumer group   ARGV[2] entry id   ARGV[3] about how many entries the out stream keeps
-- ARGV[4] why it is kept aside, or ''   ARGV[5] owner   ARGV[6] its type   ARGV[7] its body (shortened)
-- ARGV[8] about how many entries the dead stream keeps   ARGV[9] ms to keep the out stream from now on
-- ARGV[10..] type and body of each answer
--
-- returns 1, or 0 when it had been answered before and nothing was changed

if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
for i = 10, #ARGV, 2 do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'type', ARGV[i], 'body', ARGV[i + 1])
end
if #ARGV > 9 then redis.call('PEXPIRE', KEYS[2], ARGV[9]) end
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', 'owner', ARGV[5], 'entry', ARGV[2], 'reason', ARGV[4],
    'type', ARGV[6], 'body', ARGV[7])
end
return 1
