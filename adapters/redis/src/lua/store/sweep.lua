#!lua flags=no-writes
-- Which turns have been over their lease for the grace, the oldest of each slot first, and how long it is until the first of all
-- open ones is (-1 where none is open), and what time it is. Where there is but one server, one call looks at all slots.
-- ARGV  2 grace  3 how many at most  4... the other slots
local due, most, first, k = {}, tonumber(ARGV[3]), nil, 4
repeat
  local until_then = tonumber(redis.call('ZRANGE', slot .. 't', 0, 0, 'WITHSCORES')[2])
  if until_then and until_then <= now - ARGV[2] then
    for _, sid in ipairs(redis.call('ZRANGE', slot .. 't', '-inf', text(now - ARGV[2]), 'BYSCORE', 'LIMIT', 0, most - #due)) do
      due[#due + 1] = sid
    end
  end
  if until_then and until_then < (first or until_then + 1) then first = until_then end
  slot, k = ARGV[k], k + 1
until not slot or #due >= most
return {'DUE', due, first and math.max(0, first - now) or -1, now}
