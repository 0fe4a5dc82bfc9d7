#!lua flags=no-writes
-- One session, and a page of its messages where one is asked for.
-- ARGV  2 owner  3 session  4 only messages before this one ('' for all)  5 how many messages at most
local s = redis.call('HMGET', of('s', ARGV[3]), 'o', 'la', 'cr', 'n', 'tm', 'x', 'ex')
if not s[1] or s[6] or tonumber(s[7]) <= now then return {'NOT_FOUND'} end
if s[1] ~= ARGV[2] then return {'NOT_YOURS'} end
local messages = {}
if ARGV[5] ~= '0' and ARGV[4] ~= '0' then
  messages = redis.call('XREVRANGE', of('m', ARGV[3]), ARGV[4] == '' and '+' or '(' .. ARGV[4] .. '-0', '-', 'COUNT', ARGV[5])
end
return {'FOUND', {ARGV[3], s[2], s[3], s[4], s[5]}, messages}
