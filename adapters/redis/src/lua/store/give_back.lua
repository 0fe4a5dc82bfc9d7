#!lua flags=allow-oom
-- Gives back what home.lua took.
-- ARGV  2 owner  3 when it was taken  4 attempt
redis.call('DEL', of('a', ARGV[4]))
return {'GIVEN', redis.call('LREM', of('q', ARGV[2]), 1, ARGV[3])}
