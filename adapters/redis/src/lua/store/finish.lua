#!lua flags=allow-oom
-- Stores the answer and ends the turn. Neither the time to live nor the owner's index changes.
-- ARGV  2 session  3 turn  4 the same in 16 bytes  5 fence  6 status  7 text  8 what comes beside it: see record.rs
--       9 channel of followers  10 limit of the outbox  11 drop the oldest (0/1)  12 channel of the log
local sid, turn = ARGV[2], ARGV[3]
local S = of('s', sid)
local s = redis.call('HMGET', S, 'o', 'n', 'f', 'tm', 'ti', 'tu', 'rq', 'x', 'ex', 'fo')
if not s[1] or s[8] or tonumber(s[9]) <= now then return {'GONE'} end
if s[3] ~= ARGV[5] then return {'FENCED'} end
if s[4] == '' then -- It was stored by an earlier call: whoever else ends a turn moves the fence.
  local question = redis.call('HGET', of('i', sid), 't' .. ARGV[4])
  if not question then return {'FENCED'} end
  return {'AGAIN', redis.call('LINDEX', of('m', sid), question)}
end
if s[4] ~= turn then return {'FENCED'} end
-- A follower's text goes on in the answer if that begins with it; else 0 tells it to start over.
local live = redis.call('GET', of('l', sid)) or ''
local continues = string.sub(ARGV[7], 1, #live) == live and s[3] or '0'
local open = {sid, s[1], tonumber(s[2]), turn, s[5], s[6], s[7]}
local n = answer({ARGV[10], ARGV[11], ARGV[12]}, open, ARGV[6], continues, ARGV[8] .. ARGV[7])
redis.call('HSET', S, 'n', n, 'lu', 0, 'tm', '')
redis.call('ZREM', slot .. 't', sid)
wake(ARGV[9], sid, s[10])
return {'STORED', n, tonumber(s[6]), now}
