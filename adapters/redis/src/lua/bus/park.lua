-- Puts a record into the dead letters. Their ids are microseconds, so that letters of all partitions sort by age; where the clock
-- went back, the number behind the last one is taken.
local function park(key, most, group, reason, record)
  local t = redis.call('TIME')
  local id = string.format('%d%06d-*', t[1], t[2])
  local letter = {'g', group, 'r', reason, unpack(record)}
  local put = redis.pcall('XADD', key, 'MAXLEN', '~', most, id, unpack(letter))
  if type(put) == 'table' and put.err then redis.call('XADD', key, 'MAXLEN', '~', most, '*', unpack(letter)) end
end
