#!lua flags=allow-oom
-- Closes a turn whose lease has been over for the grace, as failed with its live text.
-- ARGV  2 session  3 grace  4 channel of followers  5 limit of the outbox  6 drop the oldest (0/1)  7 what the log's channels are called
local sid, T = ARGV[2], slot .. 't'
local S = of('s', sid)
local s = redis.call('HMGET', S, 'o', 'n', 'f', 'lu', 'tm', 'rq', 'x', 'ex', 'fo')
local owner, n, fence, lease, open, request, gone, over, followed = unpack(s, 1, 9)
if not owner or gone or is_over(over) or open == '' then
  redis.call('ZREM', T, sid)
  return {'NONE'}
end
if lease + ARGV[3] > now then return {'ALIVE'} end
close({ARGV[5], ARGV[6], ARGV[7]}, sid, owner, tonumber(n), open, request, fence)
-- The fence moves, so that its server, should it live, is told that it is too late.
redis.call('HSET', S, 'n', n + 1, 'f', fence_after(tonumber(fence)), 'lu', 0, 'tm', '')
redis.call('ZREM', T, sid)
wake(ARGV[4], sid, followed)
return {'CLOSED'}
