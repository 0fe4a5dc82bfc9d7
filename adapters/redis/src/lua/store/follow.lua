#!lua flags=allow-oom
-- What comes after a reader's position. Sets a mark while the turn is open: until then what is written is told.
-- ARGV  2 owner  3 session  4 turn  5 the same in 16 bytes  6 fence  7 offset  8 how long the reader listens (0 if it does not)
local S, L = of('s', ARGV[3]), of('l', ARGV[3])
local s = redis.call('HMGET', S, 'o', 'f', 'tm', 'x', 'ex', 'fo')
if not s[1] or s[4] or is_over(s[5]) then return {'NOT_FOUND'} end
if s[1] ~= ARGV[2] then return {'NOT_YOURS'} end
local question = redis.call('HGET', of('i', ARGV[3]), 't' .. ARGV[5])
if not question then return {'NOT_FOUND'} end
if s[3] ~= ARGV[4] then
  return {'ENDED', tonumber(question), redis.call('LINDEX', of('m', ARGV[3]), question)}
end
listen(S, s[6], ARGV[8])
local from, length = tonumber(ARGV[7]), redis.call('STRLEN', L)
if ARGV[6] == s[2] then
  -- Its server shows text before it keeps it, so a reader may be ahead: then it waits.
  if from > length then return {'OPEN', tonumber(question), tonumber(s[2]), false, 0, ''} end
  local byte = string.byte(redis.call('GETRANGE', L, from, from)) or 0
  if byte < 128 or byte > 191 then
    return {'OPEN', tonumber(question), tonumber(s[2]), length, 0, redis.call('GETRANGE', L, from, -1)}
  end
end
local restarted = (ARGV[6] ~= '0' or from > 0) and 1 or 0
return {'OPEN', tonumber(question), tonumber(s[2]), length, restarted, redis.call('GET', L) or ''}
