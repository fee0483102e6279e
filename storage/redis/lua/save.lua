-- Commits a request: its document, indices, timer, journal entry and outbox entries, or nothing of it.
--
-- KEYS[1] request (hash)   KEYS[2] posts (hash)   KEYS[3] meta (hash)   KEYS[4] journal (stream)
-- KEYS[5] timers   KEYS[6] cards   KEYS[7] announcements   KEYS[8] code   KEYS[9] like
-- (sorted sets)   KEYS[10] document (string)   KEYS[11] ended (sorted set)
-- KEYS[12] intake   KEYS[13] out (streams of its agent)   KEYS[14] rate of its agent (hash, as in rate.lua)
-- KEYS[15] decision (string)
-- KEYS[16..] the lists it joins, then those it leaves (sorted sets)
--
-- ARGV[1] clock offset in ms (tests)     ARGV[2] request id           ARGV[3] version it was computed from, 0: none
-- ARGV[4] epoch it was computed under    ARGV[5] not before (ms)      ARGV[6] not after (ms) or ''
-- ARGV[7] token of this commit           ARGV[8] document             ARGV[9] journal record
-- ARGV[10] asked at (ms)                 ARGV[11] how many it joins   ARGV[12] next due (ms) or ''
-- ARGV[13] '1': show   ARGV[14] '1': announce   ARGV[15] '1': decides   ARGV[16] ms to keep it from now on, or ''
-- ARGV[17] how many may stand in KEYS[16], its agent's open requests, or ''
-- ARGV[18] consumer group, or '': no intake entry is settled by this   ARGV[19] the entry's id
-- ARGV[20] type and ARGV[21] body of the answer to it   ARGV[22] about how many entries the out stream keeps
-- ARGV[23] ms to keep the out stream from now on
-- ARGV[24] '1': it is the first of its likeness, and takes a turn of the rate
-- ARGV[25] microseconds from one turn to the next, or '': no limit   ARGV[26] burst
-- ARGV[27] the journal number for which ARGV[28], the decision, is true, or ''   ARGV[29] ms to keep it
--
-- returns {'saved', now, version, decision's journal number or 0, this commit's, 1 if the decision was published}
--      or {'landed', now}: this very commit came through before (its answer was lost, the client sent it again)
--      or {'paced', now, the ms after which asking again makes sense}
--      or {'alike', now, the newest five ids of KEYS[9]}: the turn was taken, nothing else was changed
--      or {'full', now} | {'stale', now} | {'epoch', now, the partition's epoch} | {'early', now} | {'late', now}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local id, token, joins = ARGV[2], ARGV[7], tonumber(ARGV[11])
local known = redis.call('HMGET', KEYS[1], 'version', 'tokens', 'decision_entry')
local version, tokens = tonumber(known[1] or 0), known[2] or ''

if string.find(tokens, token, 1, true) then
  redis.call('HSET', KEYS[1], 'tokens', tokens) -- WAIT counts only writes of its own connection: be one
  return {'landed', now}
end
if version ~= tonumber(ARGV[3]) then return {'stale', now} end

local meta = redis.call('HMGET', KEYS[3], 'journal', 'epoch')
local epoch = meta[2] or ''
if epoch ~= ARGV[4] then return {'epoch', now, epoch} end
if now < tonumber(ARGV[5]) then return {'early', now} end
if ARGV[6] ~= '' and now >= tonumber(ARGV[6]) then return {'late', now} end
if ARGV[24] == '1' then
  if ARGV[25] ~= '' then
    local micros = (time[1] * 1000 + ARGV[1]) * 1000 + time[2]
    local tat = math.max(tonumber(redis.call('HGET', KEYS[14], 'tat') or 0), micros)
    local from = tat - (ARGV[26] - 1) * ARGV[25]
    if from > micros then return {'paced', now, math.ceil((from - micros) / 1000)} end
    tat = tat + ARGV[25]
    redis.call('HSET', KEYS[14], 'tat', string.format('%.0f', tat))
    redis.call('PEXPIRE', KEYS[14], math.ceil((tat - micros) / 1000) + 1000)
  end
  local alike = redis.call('ZRANGE', KEYS[9], 0, 4, 'REV')
  if alike[1] then return {'alike', now, alike} end
end
if ARGV[17] ~= '' and redis.call('ZCARD', KEYS[16]) >= tonumber(ARGV[17]) then return {'full', now} end

-- The journal first: if it refuses the entry, nothing has been changed.
local number = tonumber(meta[1] or 0) + 1
redis.call('XADD', KEYS[4], number .. '-0', 'at', now, 'record', ARGV[9])
redis.call('HSET', KEYS[3], 'journal', number)

local decision = ARGV[15] == '1' and number or tonumber(known[3] or 0)
-- What ended is forgotten when its time comes (forget.lua); should nobody do it, it goes by itself a week later.
local backstop = ARGV[16] ~= '' and string.format('%.0f', ARGV[16] + 604800000)
if backstop then
  redis.call('SET', KEYS[10], ARGV[8], 'PX', backstop)
else
  redis.call('SET', KEYS[10], ARGV[8])
end
redis.call('HSET', KEYS[1], 'version', version + 1, 'decision_entry', decision,
  'tokens', string.sub(token .. tokens, 1, 8 * #token), 'due', ARGV[12])

for i = 16, #KEYS do
  if i - 16 < joins then redis.call('ZADD', KEYS[i], ARGV[10], id) else redis.call('ZREM', KEYS[i], id) end
end
if ARGV[12] ~= '' then redis.call('ZADD', KEYS[5], ARGV[12], id) else redis.call('ZREM', KEYS[5], id) end
if ARGV[13] == '1' then redis.call('ZADD', KEYS[6], now, id) end
local told = 0
if ARGV[27] ~= '' and tonumber(ARGV[27]) == number then -- as publish.lua
  told = 1
  redis.call('SET', KEYS[15], ARGV[28], 'PX', ARGV[29])
  redis.call('XADD', KEYS[13], 'MAXLEN', '~', ARGV[22], '*', 'type', 'decision', 'body', ARGV[28])
  redis.call('PEXPIRE', KEYS[13], ARGV[23])
  redis.call('HSET', KEYS[1], 'published', version + 1)
elseif ARGV[14] == '1' then
  -- Whoever commits publishes at once; the outbox is for when that fails, so it waits two seconds.
  redis.call('ZADD', KEYS[7], now + 2000, id)
end

if version == 0 then
  for i = 8, 9 do
    redis.call('ZADD', KEYS[i], ARGV[10], id)
    redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -101) -- enough to find one again; bounded whatever an agent asks
    redis.call('PERSIST', KEYS[i])
  end
end
-- As answer.lua; whatever has become of the stream meanwhile, the request stands.
if ARGV[18] ~= '' and redis.pcall('XACK', KEYS[12], ARGV[18], ARGV[19]) == 1 then
  redis.call('XDEL', KEYS[12], ARGV[19])
  redis.call('XADD', KEYS[13], 'MAXLEN', '~', ARGV[22], '*', 'type', ARGV[20], 'body', ARGV[21])
  redis.call('PEXPIRE', KEYS[13], ARGV[23])
end
if backstop then
  redis.call('ZADD', KEYS[11], string.format('%.0f', now + ARGV[16]), id)
  redis.call('PEXPIRE', KEYS[1], backstop)
  redis.call('PEXPIRE', KEYS[2], backstop)
  for i = 8, 9 do
    if redis.call('ZRANGE', KEYS[i], -1, -1)[1] == id then redis.call('PEXPIRE', KEYS[i], backstop) end
  end
end
return {'saved', now, version + 1, decision, number, told}
