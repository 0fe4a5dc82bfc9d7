#!lua flags=no-writes
-- How many events of the group are not worked off: those that it has not read, and those that it keeps.
local kept = redis.call('HLEN', lanes) + redis.call('ZCARD', behind)
local length = redis.call('XLEN', log)
if length == 0 then return kept end
local told = told_of_log()
local at = redis.call('HMGET', cursor, 'c', 'n')
if not at[1] or name_of(at[1]) < name_of(told['first-entry'][1]) then return kept + length end
return kept + math.min(length, math.max(0, told['entries-added'] - at[2]))
