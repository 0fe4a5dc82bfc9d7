#!lua flags=allow-oom
-- Gives back what home.lua took, unless a later try of the attempt has it; and what it takes should it come later.
-- ARGV  2 owner  3 attempt  4 number of the try
local attempt = of('a', ARGV[3])
local try, at = string.match(redis.call('GET', attempt) or '0|', '^(%d+)|(%d*)$')
if tonumber(try) > tonumber(ARGV[4]) then return {'KEPT'} end
redis.call('SET', attempt, ARGV[4] .. '|', 'PX', 60000)
return {'GIVEN', at == '' and 0 or redis.call('LREM', of('q', ARGV[2]), 1, at)}
