#!lua flags=allow-oom
-- A relay takes a partition's outbox, or keeps it. Answers how long it is another's (ms): 0 where it is its own.
-- KEYS  1 lease
-- ARGV  1 relay  2 lease ms
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return math.max(redis.call('PTTL', KEYS[1]), 1) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
