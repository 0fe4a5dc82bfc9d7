#!lua
-- A dead letter goes back to the group that parked it, behind what that has of the session.
-- ARGV  1 letter's id  2 group; '' for the relay  3 channel
local letter = redis.call('XRANGE', letters, ARGV[1], ARGV[1])[1]
if not letter then return 0 end
local record = {unpack(letter[2], 5)} -- behind the group and the reason
if ARGV[2] == '' then
  redis.call('XADD', log, '*', unpack(record))
else
  local session, name = session_of(record), name_of(redis.call('XADD', replayed, '*', unpack(record))) .. 'r'
  if redis.call('HEXISTS', lanes, session) == 1 then
    redis.call('ZADD', behind, 0, session .. '|' .. name)
  else
    free(session, name, 0)
  end
  stay()
end
redis.call('XDEL', letters, ARGV[1])
wake(ARGV[3])
return 1
