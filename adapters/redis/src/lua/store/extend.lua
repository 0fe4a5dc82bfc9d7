#!lua flags=allow-oom
-- Keeps a piece of live text and renews the lease. It may when memory is out: the answer that it is part of will have to.
-- ARGV  2 session  3 turn  4 fence  5 offset  6 text  7 lease  8 channel of followers
local S, L = of('s', ARGV[2]), of('l', ARGV[2])
local s = redis.call('HMGET', S, 'o', 'f', 'tm', 'st', 'x', 'ex', 'kx', 'fo', 'lt', 'n')
if not s[1] or s[5] or is_over(s[6]) then return {'GONE'} end
if s[2] ~= ARGV[4] or s[3] ~= ARGV[3] then return {'FENCED'} end
if s[4] == s[3] then return {'STOP_REQUESTED'} end
local until_then = text(now + ARGV[7])
redis.call('HSET', S, 'lu', until_then)
redis.call('ZADD', slot .. 't', until_then, ARGV[2])
local held, from = redis.call('STRLEN', L), tonumber(ARGV[5])
if from <= held and held < from + #ARGV[6] then
  local byte = string.byte(redis.call('GETRANGE', L, from, from)) or 0
  if byte < 128 or byte > 191 then -- not inside a character
    held = redis.call('SETRANGE', L, from, ARGV[6])
    redis.call('PEXPIREAT', L, s[7])
    if s[9] ~= '1' then redis.call('HSET', S, 'lt', '1') end
    if is_followed(s[8]) then
      -- As told.rs reads it. What is long is not worth sending to all: then they look.
      local told = #ARGV[6] <= 4096 and table.concat({ARGV[3], ARGV[4], s[1], s[10], ARGV[5], ARGV[6]}, '\n')
      publish(ARGV[8] .. ARGV[2], told or '1')
    end
  end
end
return {'HELD', held}
