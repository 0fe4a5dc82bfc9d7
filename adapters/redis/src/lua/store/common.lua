-- What the store's scripts share; it stands behind the header of each.
-- ARGV[1] is what all keys of the slot begin with that the script works in. KEYS are those that it may write, so that a cluster
-- that moves the slot refuses the script before it has begun. They are named here all the same, since a session is often known
-- only inside of the script.
-- Times are microseconds since 1970. They are exact as numbers, but not joined to a text with '..': see text().
local slot = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function text(number) return string.format('%.0f', number) end

local function of(kind, name) return slot .. kind .. ':' .. name end

-- Rounded up, for keys that may only go once nothing asks for them any more.
local function ms(micros) return math.ceil(micros / 1000) end

local function fence_after(fence) return math.max(fence + 1, math.floor(now / 1000)) end

-- How many living sessions an owner has, and for each other slot, by its number, how many of those are there. Where an owner
-- has adopted sessions they lie in other slots too, of which the home knows how many there are at most.
local function living(owner)
  local count, elsewhere = redis.call('ZCOUNT', of('e', owner), '(' .. text(now), '+inf'), {}
  local there = redis.call('HGETALL', of('h', owner))
  for k = 1, #there, 2 do
    if there[k] ~= 'x' then
      count = count + there[k + 1]
      elsewhere[#elsewhere + 1] = there[k]
      elsewhere[#elsewhere + 1] = there[k + 1]
    end
  end
  return count, elsewhere
end

-- log = {how many events the outbox of a slot holds, 1 if the oldest are dropped, what the channels of those who wait are called}
-- A question, an answer or a deletion becomes known: always with the same fields in the same order. A queue is told of when it
-- was empty, since whoever empties it looks again; a log is read by many, each from its own place, so it is told of each time.
local function tell(log, session, owner, seq, kind, turn, content, products, intent, confidence, status, reply_to, request)
  local ox, drops = slot .. 'ox', log[2] == '1'
  redis.call('XADD', ox, 'MAXLEN', '=', drops and log[1] or '9007199254740992', '*', 's', session, 'o', owner, 'q', seq, 'k', kind,
    'id', turn, 'c', content, 'p', products, 'i', intent, 'cf', confidence, 'st', status, 'rt', reply_to, 'at', now, 'r', request)
  if drops or redis.call('XLEN', ox) == 1 then redis.call('PUBLISH', log[3] .. string.match(slot, '{p(%d+)}'), '1') end
end

-- Writes the answer of an open turn and its event, and notes it under the turn's key.
-- open = {session, owner, last seq, turn, key, question's seq, request}; answer = {content, products, intent, confidence, status}
local function answer(log, open, answered, fence)
  local seq = open[3] + 1
  redis.call('XADD', of('m', open[1]), seq .. '-0', 'k', 'a', 'id', open[4], 'c', answered[1], 'p', answered[2], 'i', answered[3],
    'cf', answered[4], 'st', answered[5], 'rt', open[6], 'at', now, 'f', fence)
  tell(log, open[1], open[2], seq, 'a', open[4], answered[1], answered[2], answered[3], answered[4], answered[5], open[6], open[7])
  local known = redis.call('HGET', of('i', open[1]), 'k' .. open[5])
  if known then redis.call('HSET', of('i', open[1]), 'k' .. open[5], (string.gsub(known, '|0$', '|' .. seq))) end
  redis.call('DEL', of('l', open[1]))
  return seq
end

-- Followers have set a mark until when they listen; without one nothing is sent.
local function wake(channel, session, followed)
  if followed and tonumber(followed) > now then redis.call('PUBLISH', channel .. session, '1') end
end
