#!lua
-- An exact sliding window: a list of the times that count, in microseconds, the newest first, as that of an owner's questions
-- (q) is. What is over lies at the end and goes with the next take.
-- KEYS  1 times
-- ARGV  1 limit  2 window (microseconds)
local t = redis.call('TIME')
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = t[1] * 1000000 + t[2]
local last = redis.call('LINDEX', KEYS[1], limit - 1)
if last and last + window > now then return {'WAIT', 0, last + window - now} end
redis.call('LPUSH', KEYS[1], now)
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest + window <= now do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {'GRANTED', limit - redis.call('LLEN', KEYS[1]), oldest + window - now}
