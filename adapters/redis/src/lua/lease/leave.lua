#!lua flags=allow-oom
-- A relay gives a partition's outbox back, if it has it, and the others are told.
-- KEYS  1 lease
-- ARGV  1 relay  2 channel
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], '1') -- behind a write, and so without an error
return 1
