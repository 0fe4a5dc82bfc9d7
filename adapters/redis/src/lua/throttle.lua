#!lua
-- Counts one, if the limit allows; see window.lua.
-- KEYS  1 times  2 this call, which counts once however often it is made
-- ARGV  1 limit  2 window (microseconds)
local t = redis.call('TIME')
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = t[1] * 1000000 + t[2]
if redis.call('EXISTS', KEYS[2]) == 1 then return {'GRANTED', window_left(KEYS[1], limit, window, now)} end
local wait = window_wait(KEYS[1], limit, window, now)
if wait then return {'WAIT', 0, wait} end
-- For much longer than a call is tried again.
redis.call('SET', KEYS[2], 1, 'PX', 10000)
return {'GRANTED', window_take(KEYS[1], limit, window, now)}
