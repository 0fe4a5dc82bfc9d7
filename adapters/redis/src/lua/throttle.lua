#!lua
-- Counts one, if the limit allows; see window.lua.
-- KEYS  1 times
-- ARGV  1 limit  2 window (microseconds)
local t = redis.call('TIME')
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = t[1] * 1000000 + t[2]
local wait = window_wait(KEYS[1], limit, window, now)
if wait then return {'WAIT', 0, wait} end
return {'GRANTED', window_take(KEYS[1], limit, window, now)}
