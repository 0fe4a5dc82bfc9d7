#!lua flags=no-writes
-- How many entries of a stream are no more.
-- KEYS  1 stream
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local info, told = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for field = 1, #info, 2 do told[info[field]] = info[field + 1] end
return told['entries-added'] - told['length']
