#!lua flags=allow-oom
-- A delivery that nobody saw was not delivered: another may have it.
-- ARGV  1 member  2 session  3 head  4 attempt  5 channel
local head, attempt, holder = lane_of(ARGV[2])
if head ~= ARGV[3] or attempt ~= ARGV[4] or holder ~= ARGV[1] then return 0 end
free(ARGV[2], head, attempt - 1)
wake(ARGV[5])
return 1
