#!lua flags=allow-oom
-- Gives back what home.lua took.
-- ARGV  2 owner  3 when it was taken
return {'GIVEN', redis.call('LREM', of('q', ARGV[2]), 1, ARGV[3])}
