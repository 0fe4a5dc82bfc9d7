#!lua
-- Counts one, if the limit allows, and holds it: those that nobody decided in their time count no more. See window.lua.
-- KEYS  1 times  2 those of them that are held  3 this call, which counts once however often it is made
-- ARGV  1 limit  2 window  3 how long one is held (microseconds)
local t = redis.call('TIME')
local limit, window, hold = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = t[1] * 1000000 + t[2]
local before = redis.call('GET', KEYS[3])
if before then return {'GRANTED', before, 0} end
local oldest = redis.call('LINDEX', KEYS[2], -1)
while oldest and oldest + hold <= now do
  redis.call('RPOP', KEYS[2])
  redis.call('LREM', KEYS[1], -1, oldest)
  oldest = redis.call('LINDEX', KEYS[2], -1)
end
local wait = window_wait(KEYS[1], limit, window, now)
if wait then return {oldest and 'UNDECIDED' or 'WAIT', '', wait} end
-- For much longer than a call is tried again.
redis.call('SET', KEYS[3], now, 'PX', 10000)
window_take(KEYS[1], limit, window, now)
redis.call('LPUSH', KEYS[2], now)
redis.call('PEXPIRE', KEYS[2], math.ceil(window / 1000)) -- as the times: without it one that nobody decided would count on
return {'GRANTED', redis.call('GET', KEYS[3]), 0}
