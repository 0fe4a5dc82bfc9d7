-- What the scripts of a group share. In a partition a group has read the log up to its cursor. Of what it has read it keeps what
-- is not worked off: for each session a lane with the event that comes next, its head, and the events behind it. A stream's own
-- consumer groups are not enough: they hand out entries, and know nothing of sessions.
-- KEYS  1 log  2 cursor: c last id read, n how many were ever added up to it  3 lanes: session -> head|attempt|holder
--       4 behind: session|name, by name  5 when: session -> from when on it may be taken, a holder's lease being over
--       6 replayed: records of this group alone  7 letters                                                      (one slot)
local log, cursor, lanes, behind, when, replayed, letters = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Names sort as text. That of a replayed record ends with an r.
local function name_of(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return string.format('%014d-%010d', tonumber(ms), tonumber(seq))
end

local function place_of(name)
  if string.sub(name, -1) == 'r' then return replayed, string.sub(name, 1, -2) end
  return log, name
end

-- A group that nobody asks for in 30 days is forgotten, and begins anew if it comes back. Looked at by whatever makes a key. All
-- of its keys go at one instant, so that none is there without the others.
local function stay()
  local keys, is_due = {cursor, lanes, behind, when, replayed}, false
  for _, key in ipairs(keys) do
    local left = redis.call('PTTL', key)
    is_due = is_due or left == -1 or left >= 0 and left < 29 * 86400000
  end
  for _, key in ipairs(is_due and keys or {}) do redis.call('PEXPIREAT', key, now + 30 * 86400000) end
end

-- Those who wait are woken, as in the store's scripts: behind writes, and so without an error.
local function wake(channel) redis.pcall('PUBLISH', channel, '1') end

-- The fields of a record; nil where the log has dropped it.
local function record_of(name)
  local key, id = place_of(name)
  local found = redis.call('XRANGE', key, id, id)[1]
  return found and found[2]
end

-- What the server tells of the log, which there is.
local function told_of_log()
  local info, told = redis.call('XINFO', 'STREAM', log), {}
  for field = 1, #info, 2 do told[info[field]] = info[field + 1] end
  return told
end

local function session_of(record)
  for field = 1, #record, 2 do
    if record[field] == 's' then return record[field + 1] end
  end
  return ''
end

-- Head, attempt and holder.
local function lane_of(session)
  local lane = redis.call('HGET', lanes, session)
  if lane then return string.match(lane, '^([^|]*)|([^|]*)|(.*)$') end
end

local function hold(session, head, attempt, member, lease)
  redis.call('HSET', lanes, session, head .. '|' .. attempt .. '|' .. member)
  redis.call('ZADD', when, now + lease, session)
end

-- The oldest head is taken first.
local function free(session, head, attempt)
  redis.call('HSET', lanes, session, head .. '|' .. attempt .. '|')
  redis.call('ZADD', when, math.min(now, tonumber(string.sub(head, 1, 14))), session)
end

-- The head is worked off, or was dropped: the next one takes its place. Answers whether there is one.
local function move_on(session, head)
  local key, id = place_of(head)
  if key == replayed then redis.call('XDEL', replayed, id) end
  local first = redis.call('ZRANGEBYLEX', behind, '[' .. session .. '|', '(' .. session .. '}', 'LIMIT', 0, 1)[1]
  if first then
    redis.call('ZREM', behind, first)
    free(session, string.sub(first, #session + 2), 0)
    return true
  end
  redis.call('HDEL', lanes, session)
  redis.call('ZREM', when, session)
  return false
end
