#!lua flags=no-writes
-- One session, and a page of its messages where one is asked for.
-- ARGV  2 owner  3 session  4 only messages before this one ('' for all)  5 how many messages at most
local s = redis.call('HMGET', of('s', ARGV[3]), 'o', 'la', 'cr', 'n', 'tm', 'x', 'ex')
if not s[1] or s[6] or is_over(s[7]) then return {'NOT_FOUND'} end
if s[1] ~= ARGV[2] then return {'NOT_YOURS'} end
local messages, last, most = {}, tonumber(s[4]), tonumber(ARGV[5])
if ARGV[4] ~= '' then last = math.min(last, ARGV[4] - 1) end
if last > 0 and most > 0 then messages = redis.call('LRANGE', of('m', ARGV[3]), math.max(last - most, 0), last - 1) end
return {'FOUND', {ARGV[3], s[2], s[3], s[4], s[5]}, messages}
