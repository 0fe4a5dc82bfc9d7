#!lua flags=allow-oom
-- Takes entries out of the outbox; those that the bus refused go to the dead letters. What is out already is passed over.
-- KEYS  1 outbox  2 letters
-- ARGV  1 most letters  2 group of the letters  then for each entry: id, reason ('' where the bus has it)
local out = 0
for at = 3, #ARGV, 2 do
  local entry = ARGV[at + 1] ~= '' and redis.call('XRANGE', KEYS[1], ARGV[at], ARGV[at])[1]
  if entry then park(KEYS[2], ARGV[1], ARGV[2], ARGV[at + 1], entry[2]) end
  out = out + redis.call('XDEL', KEYS[1], ARGV[at])
end
return out
