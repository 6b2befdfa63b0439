#!lua flags=allow-oom
-- Called behind the XADDs of one write of ingest. Rings only when nothing waited before them: a correlator that has entries before it reads
-- on by itself, and its cursor moves past what it has read before it looks again.
--
-- The entries themselves do not pass through a script: copying them into Lua and back costs the server half as much again.
--
-- KEYS  1 intake
-- ARGV  channel, how many entries this write appended
-- Returns how many entries wait now.
local waiting = redis.call('XLEN', KEYS[1])
if waiting <= tonumber(ARGV[2]) then
  redis.call('PUBLISH', ARGV[1], '1')
end
return waiting
