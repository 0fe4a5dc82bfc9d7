#!lua flags=allow-oom
-- Stores the answer and ends the turn. Neither the time to live nor the owner's index changes.
-- ARGV  2 session  3 turn  4 the same in 16 bytes  5 fence  6 status  7 text  8 what comes beside it: see record.rs
--       9 channel of followers  10 limit of the outbox  11 drop the oldest (0/1)  12 channel of the log
local sid, turn = ARGV[2], ARGV[3]
local S = of('s', sid)
local s = redis.call('HMGET', S, 'o', 'n', 'f', 'tm', 'rq', 'lt', 'x', 'ex', 'fo')
local owner, n, fence, open, request, has_live_text, gone, over, followed = unpack(s, 1, 9)
if not owner or gone or is_over(over) then return {'GONE'} end
if fence ~= ARGV[5] then return {'FENCED'} end
if open == '' then -- It was stored by an earlier call: whoever else ends a turn moves the fence.
  local question = redis.call('HGET', of('i', sid), 't' .. ARGV[4])
  if not question then return {'FENCED'} end
  return {'AGAIN', redis.call('LINDEX', of('m', sid), question)}
end
if open ~= turn then return {'FENCED'} end
-- A follower's text goes on in the answer if that begins with it; else 0 tells it to start over.
local continues = fence
if has_live_text == '1' then
  local live = redis.call('GET', of('l', sid)) or ''
  if string.sub(ARGV[7], 1, #live) ~= live then continues = '0' end
end
n = tonumber(n)
answer({ARGV[10], ARGV[11], ARGV[12]}, sid, owner, n, turn, request, ARGV[6], continues, ARGV[8] .. ARGV[7])
if has_live_text == '1' then redis.call('DEL', of('l', sid)) end
redis.call('HSET', S, 'n', n + 1, 'lu', '0', 'tm', '')
redis.call('ZREM', slot .. 't', sid)
wake(ARGV[9], sid, followed)
return {'STORED', n + 1, n, now}
