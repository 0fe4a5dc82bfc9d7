#!lua flags=allow-oom
-- A member leaves the group: what it holds is free, also what it took without learning of it.
-- ARGV  1 member  2 channel
local left = 0
for _, session in ipairs(redis.call('ZRANGEBYSCORE', when, '(' .. now, '+inf')) do
  local head, attempt, holder = lane_of(session)
  if holder == ARGV[1] then
    free(session, head, attempt)
    left = left + 1
  end
end
if left > 0 then wake(ARGV[2]) end
return left
