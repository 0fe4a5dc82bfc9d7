#!lua flags=allow-oom
-- Deletes a session. A tombstone stays until the session's time would have been over.
-- ARGV  2 owner  3 session  4 request id  5 channel of followers  6 limit of the outbox  7 drop the oldest (0/1)  8 channel of the log
local owner, sid = ARGV[2], ARGV[3]
local S = of('s', sid)
local s = redis.call('HMGET', S, 'o', 'n', 'x', 'ex', 'fo')
if not s[1] or is_over(s[4]) then return {'NOT_FOUND'} end
if s[1] ~= owner then return {s[3] and 'NOT_FOUND' or 'NOT_YOURS'} end
if s[3] then return {'DELETED'} end
-- The hash stays: a key that was deleted cannot be made again while its slot moves, and then nothing would be left of the session.
redis.call('HSET', S, 'x', 1)
for _, field in ipairs(redis.call('HKEYS', S)) do
  if field ~= 'o' and field ~= 'x' and field ~= 'ex' then redis.call('HDEL', S, field) end
end
redis.call('UNLINK', of('m', sid), of('i', sid), of('l', sid))
redis.call('PEXPIREAT', S, ms(s[4]))
redis.call('ZREM', of('u', owner), sid)
redis.call('ZREM', of('e', owner), sid)
redis.call('ZREM', slot .. 't', sid)
tell({ARGV[6], ARGV[7], ARGV[8]}, sid, owner, ARGV[4], record(s[2] + 1, 'd', '', '', '', 0, NOTHING))
wake(ARGV[5], sid, s[5])
return {'DELETED'}
