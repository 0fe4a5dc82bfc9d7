#!lua
-- Appends events to the log.
-- KEYS  1 log
-- ARGV  1 most events; 0 for any number  2 channel  then for each event: how many fields and values, and these
local at = 3
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  local fields = {unpack(ARGV, at + 1, at + size)}
  if ARGV[1] == '0' then
    redis.call('XADD', KEYS[1], '*', unpack(fields))
  else
    redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', unpack(fields))
  end
  at = at + 1 + size
end
redis.pcall('PUBLISH', ARGV[2], '1') -- behind writes, and so without an error
return 1
