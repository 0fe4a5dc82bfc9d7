#!lua flags=allow-oom
-- Closes a turn whose lease has been over for the grace, as failed with its live text.
-- ARGV  2 session  3 grace  4 channel of followers  5 limit of the outbox  6 drop the oldest (0/1)  7 what the log's channels are called
local sid, T = ARGV[2], slot .. 't'
local S = of('s', sid)
local s = redis.call('HMGET', S, 'o', 'n', 'f', 'lu', 'tm', 'ti', 'tu', 'rq', 'x', 'ex', 'fo')
if not s[1] or s[9] or tonumber(s[10]) <= now or s[5] == '' then
  redis.call('ZREM', T, sid)
  return {'NONE'}
end
if s[4] + ARGV[3] > now then return {'ALIVE'} end
local n = close({ARGV[5], ARGV[6], ARGV[7]}, {sid, s[1], tonumber(s[2]), s[5], s[6], s[7], s[8]}, s[3])
-- The fence moves, so that its server, should it live, is told that it is too late.
redis.call('HSET', S, 'n', n, 'f', fence_after(tonumber(s[3])), 'lu', 0, 'tm', '')
redis.call('ZREM', T, sid)
wake(ARGV[4], sid, s[11])
return {'CLOSED'}
