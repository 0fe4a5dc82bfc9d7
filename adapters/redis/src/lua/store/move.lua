#!lua
-- Makes some of a guest's sessions a user's, those of the newest activity first; all of a guest's sessions lie in this slot. A turn
-- that runs goes on: its server holds a fence, not an owner.
-- ARGV  2 guest  3 user  4 how many at most  5 most sessions, where this is the user's home too ('' elsewhere)
--       6 this call
local index, ends, u_index, u_ends = of('u', ARGV[2]), of('e', ARGV[2]), of('u', ARGV[3]), of('e', ARGV[3])
local most, moved, keep = tonumber(ARGV[4]), 0, 0
-- The same call again: a second batch would be in no number.
local before = redis.call('LRANGE', of('a', ARGV[6]), 0, -1)
if before[1] then return {'MOVED', before[1], before[2], before[3]} end
if ARGV[5] ~= '' then
  most = math.max(math.min(most, ARGV[5] - living(ARGV[3])), 0)
end
local found = most > 0 and redis.call('ZRANGE', index, '+inf', '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, most) or {}
for _, id in ipairs(found) do
  local s = redis.call('HMGET', of('s', id), 'o', 'la', 'x', 'ex', 'kx')
  if s[1] == ARGV[2] and not s[3] and not is_over(s[4]) then
    redis.call('HSET', of('s', id), 'o', ARGV[3])
    redis.call('ZADD', u_index, s[2], id)
    redis.call('ZADD', u_ends, s[4], id)
    moved, keep = moved + 1, math.max(keep, tonumber(s[5]))
  end
  redis.call('ZREM', index, id)
  redis.call('ZREM', ends, id)
end
if moved > 0 then
  for _, name in ipairs({u_index, u_ends}) do
    if redis.call('PTTL', name) < keep - now / 1000 then redis.call('PEXPIREAT', name, keep) end
  end
end
local left = redis.call('ZCOUNT', ends, '(' .. stamp, '+inf')
redis.call('RPUSH', of('a', ARGV[6]), moved, keep, left)
redis.call('PEXPIRE', of('a', ARGV[6]), 60000)
return {'MOVED', moved, keep, left}
