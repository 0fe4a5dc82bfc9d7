#!lua flags=no-writes
-- What is left of a limit, where nothing is counted; see window.lua.
-- KEYS  1 times
-- ARGV  1 limit  2 window (microseconds)
local t = redis.call('TIME')
return {window_left(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), t[1] * 1000000 + t[2])}
