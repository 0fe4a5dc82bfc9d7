#!lua flags=allow-oom
-- A delivery was worked off, or never will be: then it is parked, with a reason.
-- ARGV  1 member  2 session  3 head  4 attempt  5 channel  then, to park: 6 reason  7 group  8 most letters
local head, attempt, holder = lane_of(ARGV[2])
-- It was worked off before: by this call, whose answer was lost, or by whoever had it.
if not head or head > ARGV[3] then return 'DONE' end
if head ~= ARGV[3] or attempt ~= ARGV[4] or holder ~= ARGV[1] then return 'REVOKED' end
-- What the log has dropped meanwhile cannot be parked.
local record = ARGV[6] and record_of(head)
if record then park(letters, ARGV[8], ARGV[7], ARGV[6], record) end
if move_on(ARGV[2], head) then wake(ARGV[5]) end
return 'DONE'
