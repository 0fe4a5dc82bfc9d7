#!lua
-- Takes a question, or says what stands against it.
-- ARGV  2 owner  3 session, or the id of a new one  4 new (0/1)  5 key  6 body hash  7 message id  8 the same in 16 bytes  9 text
--       10 lease  11 time to live  12 most messages  13 most sessions  14 quota (0 for none)  15 its window  16 attempt
--       17 request id  18 throttled by the quota of another slot: how long (0 if not)  19 the counts of other slots are exact (0/1)
--       20 channel of followers  21 limit of the outbox  22 drop the oldest (0/1)  23 channel of the log
local owner, sid, key, log = ARGV[2], ARGV[3], ARGV[5], {ARGV[21], ARGV[22], ARGV[23]}
local FIELDS = {'o', 'n', 'f', 'lu', 'tm', 'ti', 'tu', 'ta', 'tr', 'rq', 'x', 'ex', 'kx', 'fo', 'fk'}
local function load(id)
  local s = redis.call('HMGET', of('s', id), unpack(FIELDS))
  return s[1] and tonumber(s[12]) > now and s or nil
end
local first, s = of('k', owner .. ' ' .. key), nil
if ARGV[4] == '1' then
  local named = redis.call('GET', first)
  s = named and load(named)
  if s then sid = named end
else
  s = load(sid)
  if not s then return {'NOT_FOUND'} end
end
local new = not s
local index, ends = of('u', owner), of('e', owner)
if new then
  local count, elsewhere = living(owner)
  if count >= tonumber(ARGV[13]) then
    if #elsewhere > 0 and ARGV[19] == '0' then return {'COUNT', elsewhere} end
    return {'TOO_MANY_SESSIONS'}
  end
  s = {owner, '0', '0', '0', '', '', '0', '', '0', '', false, '0', '0', false, owner .. ' ' .. key}
end
if s[11] then return {'NOT_FOUND'} end
local n, fence, lease, open = tonumber(s[2]), tonumber(s[3]), tonumber(s[4]), s[5]
-- The same call again, its reply was lost. Whose the session is does not matter: it may have been adopted meanwhile.
if open ~= '' and s[8] == ARGV[16] then
  redis.call('HSET', of('s', sid), 'lu', now + ARGV[10])
  redis.call('ZADD', slot .. 't', now + ARGV[10], sid)
  return {'STARTED', sid, fence, tonumber(s[7]), open, tonumber(s[9]), 0, -1, 0}
end
if s[1] ~= owner then return {'NOT_YOURS'} end
local known, mine = not new and redis.call('HGET', of('i', sid), 'k' .. key), 0
if known then
  local body, question, answered = string.match(known, '^(%w+)|(%d+)|(%d+)$')
  if body ~= ARGV[6] then return {'KEY_REUSED'} end
  if answered ~= '0' then
    return {'REPLAYED', sid, redis.call('LRANGE', of('m', sid), question - 1, answered - 1)}
  end
  mine = tonumber(question)
end
if open ~= '' and lease > now then
  return {mine > 0 and 'ATTACHED' or 'BUSY', sid, open, fence, tonumber(s[7]), lease - now}
end
-- Whether the slot is moving and this key has gone with it: then the script ends here, before it has written anything.
if not new then redis.call('EXISTS', of('k', s[15])) end
local quota, starts = tonumber(ARGV[14]), of('q', owner)
if mine == 0 then -- A question that was taken before is not refused when it comes again.
  if n + (open == '' and 2 or 3) > tonumber(ARGV[12]) then return {'SESSION_FULL'} end
  if log[2] == '0' and redis.call('XLEN', slot .. 'ox') >= tonumber(log[1]) then return {'OVERLOADED'} end
  if ARGV[18] ~= '0' then return {'THROTTLED', tonumber(ARGV[18])} end
  local wait = quota > 0 and window_wait(starts, quota, ARGV[15], now)
  if wait then return {'THROTTLED', wait} end
end
-- All checks are done: writes only from here on, since a script that fails half-way is not undone.
local S, M, I = of('s', sid), of('m', sid), of('i', sid)
if new then
  redis.call('DEL', M, I, of('l', sid))
  redis.call('HSET', S, 'o', owner, 'cr', now, 'fk', s[15])
  redis.call('SET', first, sid)
  local over = redis.call('ZRANGE', ends, '-inf', text(now), 'BYSCORE', 'LIMIT', 0, 50)
  if #over > 0 then
    redis.call('ZREM', ends, unpack(over))
    redis.call('ZREM', index, unpack(over))
  end
end
local turn, resumed, remaining, reset = ARGV[7], 0, -1, 0
if mine > 0 then
  turn, resumed = open, 1
  redis.call('DEL', of('l', sid))
else
  if open ~= '' then
    n = close(log, {sid, s[1], n, open, s[6], s[7], s[10]}, fence)
    fence = fence + 1
  end
  n = n + 1
  mine = n
  append(log, sid, owner, ARGV[17], record(n, 'u', turn, 'accepted', '', 0, NOTHING .. ARGV[9]))
  redis.call('HSET', I, 'k' .. key, ARGV[6] .. '|' .. n .. '|0', 't' .. ARGV[8], n)
  if quota > 0 then remaining, reset = window_take(starts, quota, ARGV[15], now) end
end
fence = fence_after(fence)
local over, keep = now + ARGV[11], tonumber(s[13])
redis.call('HSET', S, 'n', n, 'f', fence, 'lu', now + ARGV[10], 'tm', turn, 'ti', key, 'tu', mine, 'ta', ARGV[16], 'tr', resumed,
  'rq', ARGV[17], 'la', now, 'ex', over)
redis.call('ZADD', slot .. 't', now + ARGV[10], sid)
local added = redis.call('ZADD', ends, over, sid) + redis.call('ZADD', index, now, sid) > 0
-- 'ex' says exactly when the session is over. Its keys stay a little longer, so that not each turn has to renew them.
local due = ms(over) > keep
if due then
  keep = ms(over + ARGV[11] * 0.05)
  redis.call('HSET', S, 'kx', keep)
  for _, name in ipairs({S, M, I, of('k', s[15])}) do redis.call('PEXPIREAT', name, keep) end
end
if due or added then
  for _, name in ipairs({index, ends}) do
    if redis.call('PTTL', name) < keep - now / 1000 then redis.call('PEXPIREAT', name, keep) end
  end
end
wake(ARGV[20], sid, s[14])
return {'STARTED', sid, fence, mine, turn, resumed, 1 - resumed, remaining, reset}
