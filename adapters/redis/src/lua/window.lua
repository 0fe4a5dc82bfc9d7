-- An exact sliding window: a list of the times that count, in microseconds, the newest first. What is over lies at the end and
-- goes with the next take. So are an owner's questions counted, and what the throttle counts.

-- How long until one more may be taken; nothing where it may be now.
local function window_wait(times, limit, window, now)
  if limit == 0 then return tonumber(window) end
  local last = redis.call('LINDEX', times, limit - 1)
  if last and last + window > now then return last + window - now end
end

-- What is left of the limit, and when the oldest that counts is over.
local function window_left(times, limit, window, now)
  local counts, oldest = 0, nil
  for _, at in ipairs(redis.call('LRANGE', times, 0, -1)) do -- more than the limit, where that was lowered
    if at + window <= now then break end
    counts, oldest = counts + 1, at
  end
  return math.max(limit - counts, 0), oldest and oldest + window - now or 0
end

-- Takes one. What is left of the limit, and when the oldest that counts is over.
local function window_take(times, limit, window, now)
  redis.call('LPUSH', times, now)
  local oldest = redis.call('LINDEX', times, -1)
  while oldest + window <= now do
    redis.call('RPOP', times)
    oldest = redis.call('LINDEX', times, -1)
  end
  redis.call('PEXPIRE', times, math.ceil(window / 1000))
  return math.max(limit - redis.call('LLEN', times), 0), oldest + window - now
end
