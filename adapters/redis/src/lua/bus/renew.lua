#!lua flags=allow-oom
-- A living member keeps what it holds.
-- ARGV  1 member  2 lease ms  then for each delivery: session, head, attempt
for at = 3, #ARGV, 3 do
  local head, attempt, holder = lane_of(ARGV[at])
  if head == ARGV[at + 1] and attempt == ARGV[at + 2] and holder == ARGV[1] then
    redis.call('ZADD', when, now + ARGV[2], ARGV[at])
  end
end
return 1
