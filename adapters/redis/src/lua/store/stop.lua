#!lua flags=allow-oom
-- Marks a turn that is to stop. The mark names it, so it stays through a resume and means no later turn.
-- ARGV  2 owner  3 session  4 turn  5 the same in 16 bytes
local S = of('s', ARGV[3])
local s = redis.call('HMGET', S, 'o', 'tm', 'x', 'ex')
if not s[1] or s[3] or is_over(s[4]) then return {'NOT_FOUND'} end
if s[1] ~= ARGV[2] then return {'NOT_YOURS'} end
if redis.call('HEXISTS', of('i', ARGV[3]), 't' .. ARGV[5]) == 0 then return {'NOT_FOUND'} end
if s[2] ~= ARGV[4] then return {'ENDED'} end
redis.call('HSET', S, 'st', ARGV[4])
return {'REQUESTED'}
