#!lua
-- Appends what ingest accepted to a shard's intake. Without allow-oom on purpose: a full store takes no new alerts.
--
-- The bell is rung only when the intake was empty: a correlator that has entries before it reads on by itself, and its cursor moves past
-- what it has read before it looks again.
--
-- KEYS  1 intake
-- ARGV  channel, then each entry's fields and values headed by their number
-- Returns how many entries wait now.
local waiting = redis.call('XLEN', KEYS[1])
local ring = waiting == 0
local at = 2
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + n))
  at = at + 1 + n
  waiting = waiting + 1
end
if ring then
  redis.call('PUBLISH', ARGV[1], '1')
end
return waiting
