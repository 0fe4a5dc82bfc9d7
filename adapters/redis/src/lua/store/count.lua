#!lua flags=no-writes
-- How many living sessions an owner has in this slot.
-- ARGV  2 owner
return {'COUNT', redis.call('ZCOUNT', of('e', ARGV[2]), '(' .. stamp, '+inf')}
