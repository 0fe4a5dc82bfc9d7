#!lua flags=allow-oom
-- Messages behind a place. Sets a mark: until then what is written is told.
-- ARGV  2 owner  3 session  4 only messages after this one  5 how many at most  6 how long the reader listens (0 if it does not)
local S, after, most = of('s', ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local s = redis.call('HMGET', S, 'o', 'n', 'x', 'ex', 'fo')
if not s[1] or s[3] or is_over(s[4]) then return {'NOT_FOUND'} end
if s[1] ~= ARGV[2] then return {'NOT_YOURS'} end
listen(S, s[5], ARGV[6])
if after < tonumber(s[2]) and most > 0 then
  return {'FOUND', redis.call('LRANGE', of('m', ARGV[3]), after, after + most - 1)}
end
return {'FOUND', {}}
