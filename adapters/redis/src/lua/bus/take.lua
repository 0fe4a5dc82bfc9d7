#!lua flags=allow-oom
-- The next delivery for a member: of a session that waits for somebody, or else of one that has no lane yet. Beside it, or
-- alone: how many events the log has dropped before the group had worked them off. It takes a little room, also of a full server,
-- until it is worked off.
-- KEYS  8 what the member took last: number of the call|session
-- ARGV  1 member  2 lease ms  3 number of the call
local most, looked, dropped = 64, 0, 0

local function taken(session, head, attempt, record)
  hold(session, head, attempt, ARGV[1], ARGV[2])
  redis.call('SET', KEYS[8], ARGV[3] .. '|' .. session, 'PX', ARGV[2])
  return {'TAKEN', dropped, session, attempt, {head, record}}
end

-- The same call again, whose answer was lost.
local last = redis.call('GET', KEYS[8])
if last and string.sub(last, 1, #ARGV[3] + 1) == ARGV[3] .. '|' then
  local session = string.sub(last, #ARGV[3] + 2)
  local head, attempt, holder = lane_of(session)
  local record = holder == ARGV[1] and record_of(head)
  if record then return taken(session, head, tonumber(attempt), record) end
end
while looked < most do
  local session = redis.call('ZRANGEBYSCORE', when, '-inf', now, 'LIMIT', 0, 1)[1]
  if not session then break end
  local head, attempt = lane_of(session)
  local record = record_of(head)
  if record then
    stay()
    return taken(session, head, attempt + 1, record)
  end
  move_on(session, head) -- the log has dropped it
  looked, dropped = looked + 1, dropped + 1
end

local start = redis.call('HMGET', cursor, 'c', 'n')
local from, added, found, more = start[1] or '0-0', tonumber(start[2] or 0), nil, 1
local at = from
while looked < most and not found do
  -- The first one is the one that was read last, unless the log has dropped it, and maybe others behind it: then they are counted
  -- again from the log's own end.
  local batch = redis.call('XRANGE', log, at, '+', 'COUNT', more + 1)
  if batch[1] and batch[1][1] == at then
    table.remove(batch, 1)
  elseif batch[1] then
    local told = told_of_log()
    local gone = told['entries-added'] - told['length']
    -- What was taken out one by one was published by a relay, and not dropped.
    local is_log = name_of(told['max-deleted-entry-id']) <= name_of(from)
    if is_log then dropped = dropped + math.max(0, gone - added) end
    added = gone
  end
  if not batch[1] then break end
  for _, entry in ipairs(batch) do
    at, added, looked = entry[1], added + 1, looked + 1
    local session, name = session_of(entry[2]), name_of(at)
    if redis.call('HEXISTS', lanes, session) == 0 then
      found = taken(session, name, 1, entry[2])
      break
    end
    redis.call('ZADD', behind, 0, session .. '|' .. name)
  end
  more = more * 2 -- most often the first one is of a session that is free
end
if at ~= from then redis.call('HSET', cursor, 'c', at, 'n', added) end
stay()
return found or {looked < most and 'NOTHING' or 'MORE', dropped}
