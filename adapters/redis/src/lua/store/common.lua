-- What the store's scripts share; it stands behind the header of each.
-- ARGV[1] is what all keys of the slot begin with that the script works in. KEYS are those that it may write, so that a cluster
-- that moves the slot refuses the script before it has begun. They are named here all the same, since a session is often known
-- only inside of the script.
-- Times are microseconds since 1970. They are exact as numbers, but not joined to a text with '..': see text().
local slot = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- The same as text: a number that goes into a command is turned into one each time, which is slow.
local stamp = clock[1] .. string.sub('00000' .. clock[2], -6)

local function text(number) return string.format('%.0f', number) end

local function of(kind, name) return slot .. kind .. ':' .. name end

-- Rounded up, for keys that may only go once nothing asks for them any more.
local function ms(micros) return math.ceil(micros / 1000) end

local function fence_after(fence) return math.max(fence + 1, math.floor(now / 1000)) end

-- How many living sessions an owner has, and in which other slots some may be: how many adoptions have ended, and the numbers of
-- the slots. Where an owner has adopted sessions the home knows how many there are at most in each of them.
local function living(owner)
  local count, elsewhere = redis.call('ZCOUNT', of('e', owner), '(' .. stamp, '+inf'), {'0'}
  local there = redis.call('HGETALL', of('h', owner))
  for k = 1, #there, 2 do
    if tonumber(there[k]) then
      count = count + there[k + 1]
      elsewhere[#elsewhere + 1] = there[k]
    elseif there[k] == 'v' then
      elsewhere[1] = there[k + 1]
    end
  end
  return count, elsewhere
end

-- A message as it is stored: see record.rs. beside = what stands there from word 8 on, the text included.
local function record(seq, kind, turn, status, reply_to, fence, beside)
  return seq .. ' ' .. kind .. ' ' .. turn .. ' ' .. status .. ' ' .. reply_to .. ' ' .. stamp .. ' ' .. fence .. ' ' .. beside
end
local NOTHING = '   ' -- beside a text: neither confidence nor products nor intent

-- A session's end is missing in what an earlier version left of a question that failed half-way: that is no session.
local function is_over(time) return not time or tonumber(time) <= now end

-- It stands behind writes, and a script that fails there is not undone. So a user who may not publish is no error here, but for the
-- probe: who is not told looks a little later all the same.
local function publish(channel, told) redis.pcall('PUBLISH', channel, told) end

-- log = {how many events the outbox of a slot holds, 1 if the oldest are dropped, what the channels of those who wait are called}
-- A question, an answer or a deletion becomes known. A queue is told of when it was empty, since whoever empties it looks again;
-- a log is read by many, each from its own place, so it is told of each time.
local function tell(log, session, owner, request, message)
  local ox, drops = slot .. 'ox', log[2] == '1'
  redis.call('XADD', ox, 'MAXLEN', '=', drops and log[1] or '9007199254740992', '*', 's', session, 'h', request .. ' ' .. owner,
    'm', message)
  if drops or redis.call('XLEN', ox) == 1 then publish(log[3] .. string.match(slot, '{p(%d+)}'), '1') end
end

-- A message is stored, and becomes known. What has the number seq is at index seq - 1.
local function append(log, session, owner, request, message)
  redis.call('RPUSH', of('m', session), message)
  tell(log, session, owner, request, message)
end

-- Writes the answer to the newest message, the question of the open turn. So an answer always follows its question at once, and
-- a question that is not the newest message has one.
local function answer(log, session, owner, seq, turn, request, status, fence, beside)
  append(log, session, owner, request, record(seq + 1, 'a', turn, status, seq, fence, beside))
end

-- Closes the turn of a server that died, as failed with what had come.
local function close(log, session, owner, seq, turn, request, fence)
  answer(log, session, owner, seq, turn, request, 'failed', fence, NOTHING .. (redis.call('GET', of('l', session)) or ''))
  redis.call('DEL', of('l', session))
end

-- A follower marks the session until when it listens, unless another does for longer; a time of 0 is one that does not listen.
local function listen(S, followed, time)
  if tonumber(time) > 0 and tonumber(followed or 0) < now + time then redis.call('HSET', S, 'fo', now + time) end
end

-- Without such a mark nothing is sent.
local function is_followed(followed) return followed and tonumber(followed) > now end

local function wake(channel, session, followed)
  if is_followed(followed) then publish(channel .. session, '1') end
end
