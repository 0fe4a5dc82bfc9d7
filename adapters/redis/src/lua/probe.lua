#!lua
-- Writes, and looks whether the user may do all that the scripts do: where a right is missing, a script ends at the first command
-- that needs it, and what it wrote before stays.
-- KEYS  1 what is written
-- ARGV  1... channels
local ON_KEYS = [[
  DEL EXISTS GET GETRANGE HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSET LINDEX LLEN LPUSH LRANGE LREM PEXPIRE PEXPIREAT
  PTTL RPOP RPUSH SET SETRANGE STRLEN UNLINK XADD XDEL XLEN XRANGE ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREM
]]
local missing = {}
local function try(what, ...)
  if not redis.acl_check_cmd(...) then missing[#missing + 1] = what end
end
for name in string.gmatch(ON_KEYS, '%a+') do try(name, name, KEYS[1]) end
try('XINFO', 'XINFO', 'STREAM', KEYS[1])
for _, name in ipairs({'TIME', 'PING', 'UNSUBSCRIBE'}) do try(name, name) end
for _, name in ipairs({'EVAL', 'EVALSHA'}) do try(name, name, '', '0') end
for _, channel in ipairs(ARGV) do
  try('PUBLISH on ' .. channel, 'PUBLISH', channel, '')
  try('SUBSCRIBE to ' .. channel, 'SUBSCRIBE', channel)
end
if #missing > 0 then return redis.error_reply('NOPERM the user may not ' .. table.concat(missing, ', ')) end
return redis.call('SET', KEYS[1], '1', 'EX', 60)
