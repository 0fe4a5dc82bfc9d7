#!lua
-- Takes one back, held or not.
-- KEYS  1 times  2 those of them that are held
-- ARGV  1 when it was taken
redis.call('LREM', KEYS[2], 1, ARGV[1])
return redis.call('LREM', KEYS[1], 1, ARGV[1])
