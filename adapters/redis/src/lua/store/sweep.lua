#!lua flags=no-writes
-- Which turns have been over their lease for the grace, the oldest of each slot first. Where there is but one server, one call
-- looks at all slots.
-- ARGV  2 grace  3 how many at most  4... the other slots
local due, most, k = {}, tonumber(ARGV[3]), 4
repeat
  for _, sid in ipairs(redis.call('ZRANGE', slot .. 't', '-inf', text(now - ARGV[2]), 'BYSCORE', 'LIMIT', 0, most - #due)) do
    due[#due + 1] = sid
  end
  slot, k = ARGV[k], k + 1
until not slot or #due >= most
return {'DUE', due}
