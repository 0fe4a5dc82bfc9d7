#!lua flags=allow-oom
-- Gives back what home.lua took, unless a later try of the attempt has it.
-- ARGV  2 owner  3 attempt  4 number of the try
local attempt = of('a', ARGV[3])
local try, at = string.match(redis.call('GET', attempt) or '', '^(%d+)|(%d+)$')
if try ~= ARGV[4] then return {'KEPT'} end
redis.call('SET', attempt, try .. '|', 'PX', 60000)
return {'GIVEN', redis.call('LREM', of('q', ARGV[2]), 1, at)}
