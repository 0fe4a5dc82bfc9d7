#!lua
-- Runs in the home of an owner who adopts: keeps, for each other slot, how many of the owner's sessions are there at most. Such a
-- number is never taken out, only lowered: the list of sessions goes by it.
-- ARGV  2 owner  3 what: RESERVE, KEEP or RENEW
--       RESERVE  4 reservation  5 slot's number ('' for the home itself)  6 how many are wanted  7 most sessions
--       KEEP     4 reservation  5 slot's number  6 how many of those reserved were not moved  7 until when the moved ones live, in ms
--       RENEW    4 how many adoptions had ended before it was counted  5... slot's number, number as it is now
-- How long an adoption may be on its way, in microseconds; its calls have deadlines far below.
local PATIENCE = 60000000
local others = of('h', ARGV[2])
if ARGV[3] == 'RESERVE' then
  local count, seen = living(ARGV[2])
  -- The same call again: it counts once. In the home itself nothing is counted, and the step keeps its own under this name.
  local before = ARGV[5] ~= '' and redis.call('GET', of('a', ARGV[4]))
  if before then return {'GRANTED', before, seen} end
  local granted = math.max(math.min(tonumber(ARGV[6]), ARGV[7] - count), 0)
  if granted > 0 and ARGV[5] ~= '' then
    redis.call('SET', of('a', ARGV[4]), granted, 'PX', PATIENCE / 1000)
    redis.call('HINCRBY', others, ARGV[5], granted)
    -- Far away, until KEEP knows better. An adoption that is killed before leaves 'p' too high, and this as it is.
    redis.call('HINCRBY', others, 'p', 1)
    redis.call('HSET', others, 'r', stamp)
    redis.call('PEXPIRE', others, 400 * 86400000)
  end
  return {'GRANTED', granted, seen}
elseif ARGV[3] == 'KEEP' then
  if redis.call('DEL', of('a', ARGV[4])) == 0 then return {'KEPT'} end
  if tonumber(ARGV[6]) > 0 and redis.call('HINCRBY', others, ARGV[5], -ARGV[6]) < 0 then redis.call('HSET', others, ARGV[5], 0) end
  local keep = math.max(tonumber(redis.call('HGET', others, 'x') or 0), tonumber(ARGV[7]))
  redis.call('HSET', others, 'x', keep)
  if ARGV[7] ~= '0' then redis.call('HINCRBY', others, 'v', 1) end
  if redis.call('HINCRBY', others, 'p', -1) <= 0 and keep > 0 then redis.call('PEXPIREAT', others, keep) end
  return {'KEPT'}
end
-- What an adoption has moved may not have been counted: one that has ended since, or is on its way. One that was killed is waited
-- for no longer.
if (redis.call('HGET', others, 'v') or '0') ~= ARGV[4] then return {'BUSY'} end
if tonumber(redis.call('HGET', others, 'p') or 0) > 0 and now - (redis.call('HGET', others, 'r') or 0) < PATIENCE then
  return {'BUSY'}
end
for k = 5, #ARGV, 2 do redis.call('HSET', others, ARGV[k], ARGV[k + 1]) end
return {'RENEWED'}
