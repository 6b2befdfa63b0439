#!lua flags=allow-oom
-- Writes everything that a batch of decisions says, or nothing.
--
-- allow-oom: a full store must never stop an acknowledgement or the ladder.
--
-- KEYS  1 meta  2 incidents  3 versions  4 timers  5 outbox  6 begun  7 history  8 groups  9 intake  10 claims
--       11.. alerts of one incident each
-- ARGV  fence field or '', fence, now, expected cursor or '', new cursor, trim id, expected seq or '', new seq, channel, message
--       then lists, each headed by its length:
--       numbers of existing incidents | their expected versions
--       grouping keys | expected number or '' (none) | new number or '' (give it up)
--       incident pairs | version pairs | timer pairs (score, number) | numbers without timer
--       outbox pairs (score, page) | pages withdrawn | pages whose last attempt is known not to have arrived
--       members of both whose claims end
--       history payloads
--       for each of KEYS 11..: alert pairs
-- Returns {'OK'} or, with nothing written, {'FENCED', holder} {'CURSOR', now at} {'SEQ', now at} {'STALE', number...} {'GROUP', key...}
local at = 11
local function take()
  local n = tonumber(ARGV[at])
  local first = at + 1
  at = first + n
  return first, n
end

local CHUNK = 2000
local function wide(command, key, first, n)
  for i = first, first + n - 1, CHUNK do
    redis.call(command, key, unpack(ARGV, i, math.min(i + CHUNK, first + n) - 1))
  end
end

local meta = redis.call('HMGET', KEYS[1], 'cursor', 'seq', 'clock', 'tip', ARGV[1])
if ARGV[1] ~= '' and meta[5] ~= ARGV[2] then
  return {'FENCED', meta[5] or ''}
end
if ARGV[4] ~= '' and (meta[1] or '0-0') ~= ARGV[4] then
  return {'CURSOR', meta[1] or '0-0'}
end
if ARGV[7] ~= '' and (meta[2] or '0') ~= ARGV[7] then
  return {'SEQ', meta[2] or '0'}
end

local numbers, n = take()
local expected = take()
local refused = {'STALE'}  -- returned as it is: unpack has a limit, a storm has none
for i = 0, n - 1, CHUNK do
  local count = math.min(CHUNK, n - i)
  local versions = redis.call('HMGET', KEYS[3], unpack(ARGV, numbers + i, numbers + i + count - 1))
  for j = 1, count do
    if versions[j] ~= ARGV[expected + i + j - 1] then
      refused[#refused + 1] = ARGV[numbers + i + j - 1]
    end
  end
end
if #refused > 1 then
  return refused
end

local groups, g = take()
local holders = take()
local successors = take()
refused = {'GROUP'}
for i = 0, g - 1 do
  local holder = redis.call('HGET', KEYS[8], ARGV[groups + i]) or ''
  if holder ~= ARGV[holders + i] then
    if ARGV[successors + i] ~= '' then
      refused[#refused + 1] = ARGV[groups + i]
    end
    ARGV[successors + i] = false
  end
end
if #refused > 1 then
  return refused
end

-- Everything is checked: from here on only writes that cannot fail.
for i = 0, g - 1 do
  local successor = ARGV[successors + i]
  if successor == '' then
    redis.call('HDEL', KEYS[8], ARGV[groups + i])
  elseif successor then
    redis.call('HSET', KEYS[8], ARGV[groups + i], successor)
  end
end
local first
first, n = take()
wide('HSET', KEYS[2], first, n)
first, n = take()
wide('HSET', KEYS[3], first, n)
first, n = take()
wide('ZADD', KEYS[4], first, n)
first, n = take()
wide('ZREM', KEYS[4], first, n)
first, n = take()
wide('ZADD', KEYS[5], first, n)
first, n = take()
wide('ZREM', KEYS[5], first, n)
wide('HDEL', KEYS[6], first, n)
first, n = take()
for i = first, first + n - 1 do
  -- One attempt less; those that were begun before and never accounted for stay counted.
  local begun = redis.call('HGET', KEYS[6], ARGV[i])
  if begun and tonumber(begun) > 1 then
    redis.call('HINCRBY', KEYS[6], ARGV[i], -1)
  elseif begun then
    redis.call('HDEL', KEYS[6], ARGV[i])
  end
end
first, n = take()
wide('HDEL', KEYS[10], first, n)

local tip = meta[4] or ''
first, n = take()
for i = first, first + n - 1 do
  tip = redis.sha1hex(tip .. ARGV[i])
  redis.call('XADD', KEYS[7], '*', 'e', ARGV[i], 'h', tip)
end
for k = 11, #KEYS do
  first, n = take()
  wide('HSET', KEYS[k], first, n)
end
local clock = ARGV[3]
if meta[3] and tonumber(meta[3]) > tonumber(clock) then
  clock = meta[3]
end
redis.call('HSET', KEYS[1], 'clock', clock, 'tip', tip)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'cursor', ARGV[5])
  redis.call('XTRIM', KEYS[9], 'MINID', '=', ARGV[6])
end
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[1], 'seq', ARGV[8])
end
if ARGV[10] ~= '' then
  redis.call('PUBLISH', ARGV[9], ARGV[10])
end
return {'OK'}
