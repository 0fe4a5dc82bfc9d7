#!lua
-- For a question in a session that was adopted: it lies in another slot than its owner's quota, so the quota is asked here
-- first. If nothing new is started, what was taken is given back (give_back.lua).
-- Both are made again where their answer was lost, and may come late: the attempt keeps which try of it has taken, and when, or
-- has given back ('').
-- ARGV  2 owner  3 quota (-1 where there is none)  4 its window  5 time to live of the session  6 attempt  7 number of the try
local others, starts, quota = of('h', ARGV[2]), of('q', ARGV[2]), tonumber(ARGV[3])
-- The list of the other slots has to live as long as the sessions there.
local horizon = redis.call('HGET', others, 'x')
local keep = ms(now + ARGV[5] * 1.05)
-- An adoption that was killed on its way has not said how long.
if tonumber(horizon or 0) < keep and redis.call('EXISTS', others) == 1 then
  redis.call('HSET', others, 'x', keep)
  redis.call('PEXPIREAT', others, keep, 'GT')
end
if quota < 0 then return {'FREE'} end
local try, at = string.match(redis.call('GET', of('a', ARGV[6])) or '0|', '^(%d+)|(%d*)$')
local is_late = tonumber(ARGV[7]) <= tonumber(try)
if is_late and at == '' then return {'FREE'} end -- Nobody waits for this answer any more.
-- For much longer than a call is tried again.
local function keep(time) redis.call('SET', of('a', ARGV[6]), ARGV[7] .. '|' .. time, 'PX', 60000) end
if at ~= '' then -- It counts once.
  if not is_late then keep(at) end
  return {'TAKEN', window_left(starts, quota, ARGV[4], now)}
end
local wait = window_wait(starts, quota, ARGV[4], now)
if wait then return {'THROTTLED', wait} end
keep(stamp)
return {'TAKEN', window_take(starts, quota, ARGV[4], now)}
