#!lua flags=allow-oom
-- A page of the owner's sessions in this slot, newest activity first, and the other slots where there may be some.
-- ARGV  2 owner  3 how many at most  4 last activity of the last one before ('+inf' at first)  5 its session
local index, ends, limit, rows, gone, looked, found = of('u', ARGV[2]), of('e', ARGV[2]), tonumber(ARGV[3]), {}, {}, 0, nil
repeat
  found = redis.call('ZRANGE', index, ARGV[4], '-inf', 'BYSCORE', 'REV', 'LIMIT', looked, limit, 'WITHSCORES')
  for k = 1, #found, 2 do
    local id = found[k]
    looked = looked + 1
    if #rows < limit and (tonumber(found[k + 1]) ~= tonumber(ARGV[4]) or id < ARGV[5]) then
      local s = redis.call('HMGET', of('s', id), 'o', 'la', 'cr', 'n', 'tm', 'x', 'ex')
      if s[1] == ARGV[2] and not s[6] and not is_over(s[7]) then
        rows[#rows + 1] = {id, s[2], s[3], s[4], s[5]}
      else
        gone[#gone + 1] = id
      end
    end
  end
until #found < 2 * limit or #rows == limit
-- What is over leaves the index, so that it is looked at once.
for k = 1, #gone, 1000 do
  local some = {unpack(gone, k, math.min(k + 999, #gone))}
  redis.call('ZREM', index, unpack(some))
  redis.call('ZREM', ends, unpack(some))
end
return {'PAGE', rows, redis.call('HKEYS', of('h', ARGV[2]))}
