#!lua flags=no-writes
-- The oldest entries of a stream, as XRANGE gives them, up to that with which there are so many bytes.
-- KEYS  1 stream
-- ARGV  1 from where  2 how many at most  3 bytes
local found, bytes, from, left = {}, 0, ARGV[1], tonumber(ARGV[2])
while left > 0 do
  -- Few at once, since what is too much is read for nothing.
  local some = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', math.min(left, 16))
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    found[#found + 1] = entry
    for _, field in ipairs(entry[2]) do bytes = bytes + #field end
    if bytes >= tonumber(ARGV[3]) then return found end
  end
  left, from = left - #some, '(' .. some[#some][1]
end
return found
