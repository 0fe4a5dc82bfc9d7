#!lua
-- Takes a question, or says what stands against it.
-- ARGV  2 owner  3 session, or the id of a new one  4 new (0/1)  5 key  6 body hash  7 message id  8 the same in 16 bytes  9 text
--       10 lease  11 time to live  12 most messages  13 most sessions  14 quota (-1: no quota)  15 its window  16 attempt
--       17 request id  18 throttled by the quota of another slot: how long (0 if not)  19 the counts of other slots are exact (0/1)
--       20 channel of followers  21 limit of the outbox  22 drop the oldest (0/1)  23 channel of the log
local owner, sid, key, log = ARGV[2], ARGV[3], ARGV[5], {ARGV[21], ARGV[22], ARGV[23]}
local FIELDS = {'o', 'n', 'f', 'lu', 'tm', 'ta', 'tr', 'rq', 'x', 'ex', 'kx', 'fo', 'fk'}
local function load(id)
  local s = redis.call('HMGET', of('s', id), unpack(FIELDS))
  return s[1] and not is_over(s[10]) and s or nil
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
    if #elsewhere > 1 and ARGV[19] == '0' then return {'COUNT', elsewhere} end
    return {'TOO_MANY_SESSIONS'}
  end
  s = {owner, '0', '0', '0', '', '', '0', '', false, '0', '0', false, owner .. ' ' .. key}
end
local whose, n, fence, lease, open, attempt, again, request, gone, _, kept, followed, opened_by = unpack(s, 1, #FIELDS)
if gone then return {'NOT_FOUND'} end
n, fence, lease = tonumber(n), tonumber(fence), tonumber(lease)
local until_then = text(now + ARGV[10])
-- The same call again, its reply was lost. Whose the session is does not matter: it may have been adopted meanwhile.
if open ~= '' and attempt == ARGV[16] then
  redis.call('HSET', of('s', sid), 'lu', until_then)
  redis.call('ZADD', slot .. 't', until_then, sid)
  return {'STARTED', sid, fence, n, open, tonumber(again), 0, 0, -1, 0}
end
if whose ~= owner then return {'NOT_YOURS'} end
local known, mine = not new and redis.call('HGET', of('i', sid), 'k' .. key), 0
if known then
  local body, question = string.match(known, '^(%w+)|(%d+)$')
  if body ~= ARGV[6] then return {'KEY_REUSED'} end
  mine = tonumber(question)
  if mine < n then return {'REPLAYED', sid, redis.call('LRANGE', of('m', sid), mine - 1, mine)} end
end
local running = open ~= '' and lease > now and {'BUSY', sid, open, fence, n, lease - now}
if running and mine > 0 then
  running[1] = 'ATTACHED'
  return running
end
-- 'ex' says exactly when the session is over. Its keys stay a little longer, so that not each turn has to renew them.
local over, keep = now + ARGV[11], tonumber(kept)
local due = ms(over) > keep
local quota, starts = tonumber(ARGV[14]), of('q', owner)
if mine == 0 then -- A question that was taken before is not refused when it comes again.
  if n + (open == '' and 2 or 3) > tonumber(ARGV[12]) then return {'SESSION_FULL'} end
  if log[2] == '0' and redis.call('XLEN', slot .. 'ox') >= tonumber(log[1]) then return {'OVERLOADED'} end
  if ARGV[18] ~= '0' then return {'THROTTLED', tonumber(ARGV[18])} end
  local wait = quota >= 0 and window_wait(starts, quota, ARGV[15], now)
  if wait then return {'THROTTLED', wait} end
  if running then return running end -- The last: who is told this may stop the other for it.
end
-- Whether the slot is moving and this key has gone with it: then the script ends here, before it has written anything.
if due and not new then redis.call('EXISTS', of('k', opened_by)) end
-- All checks are done: writes only from here on, since a script that fails half-way is not undone.
local S, M, I = of('s', sid), of('m', sid), of('i', sid)
if new then
  redis.call('HSET', S, 'o', owner, 'cr', stamp, 'fk', opened_by)
  redis.call('SET', first, sid)
  local old = redis.call('ZRANGE', ends, '-inf', stamp, 'BYSCORE', 'LIMIT', 0, 50)
  if #old > 0 then
    redis.call('ZREM', ends, unpack(old))
    redis.call('ZREM', index, unpack(old))
  end
end
local turn, resumed, closed, remaining, reset = ARGV[7], 0, 0, -1, 0
if mine > 0 then
  turn, resumed = open, 1
  redis.call('DEL', of('l', sid))
else
  if open ~= '' then
    close(log, sid, whose, n, open, request, fence)
    n, fence, closed = n + 1, fence + 1, 1
  end
  n = n + 1
  append(log, sid, owner, ARGV[17], record(n, 'u', turn, 'accepted', '', 0, NOTHING .. ARGV[9]))
  redis.call('HSET', I, 'k' .. key, ARGV[6] .. '|' .. n, 't' .. ARGV[8], n)
  if quota >= 0 then remaining, reset = window_take(starts, quota, ARGV[15], now) end
end
fence = fence_after(fence)
local over_then = text(over)
redis.call('HSET', S, 'n', n, 'f', fence, 'lu', until_then, 'tm', turn, 'ta', ARGV[16], 'tr', resumed, 'rq', ARGV[17], 'lt', '',
  'la', stamp, 'ex', over_then)
redis.call('ZADD', slot .. 't', until_then, sid)
local added = redis.call('ZADD', ends, over_then, sid) + redis.call('ZADD', index, stamp, sid) > 0
if due then
  keep = ms(over + ARGV[11] * 0.05)
  redis.call('HSET', S, 'kx', keep)
  for _, name in ipairs({S, M, I, of('k', opened_by)}) do redis.call('PEXPIREAT', name, keep) end
end
if due or added then
  for _, name in ipairs({index, ends}) do
    if redis.call('PTTL', name) < keep - now / 1000 then redis.call('PEXPIREAT', name, keep) end
  end
end
wake(ARGV[20], sid, followed)
return {'STARTED', sid, fence, n, turn, resumed, closed, 1 - resumed, remaining, reset}
