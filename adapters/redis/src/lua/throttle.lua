#!lua
-- Counts one, if the limit allows; see window.lua.
-- KEYS  1 times  2 this call, which counts once however often it is made
-- ARGV  1 limit  2 window (microseconds)
local t = redis.call('TIME')
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = t[1] * 1000000 + t[2]
local before = redis.call('GET', KEYS[2])
if before then
  local left, reset = window_left(KEYS[1], limit, window, now)
  return {'GRANTED', left, reset, before}
end
local wait = window_wait(KEYS[1], limit, window, now)
if wait then return {'WAIT', 0, wait, ''} end
-- For much longer than a call is tried again.
redis.call('SET', KEYS[2], now, 'PX', 10000)
local left, reset = window_take(KEYS[1], limit, window, now)
return {'GRANTED', left, reset, redis.call('GET', KEYS[2])}
