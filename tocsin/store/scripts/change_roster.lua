#!lua flags=allow-oom
-- Puts the next version of the roster in the place of the one that the writer saw, with its history entry, and rings; or does nothing.
--
-- allow-oom: a full store must not keep anybody from standing in for somebody; the document has a limit of its own.
--
-- KEYS  1 roster  2 roster history
-- ARGV  version that was seen, document, history payload, channel
-- Returns the new version, or 0: somebody else has changed it since.
local meta = redis.call('HMGET', KEYS[1], 'version', 'tip')
if (meta[1] or '0') ~= ARGV[1] then
  return 0
end
local version = tonumber(ARGV[1]) + 1
local tip = redis.sha1hex((meta[2] or '') .. ARGV[3])
redis.call('HSET', KEYS[1], 'version', version, 'document', ARGV[2], 'tip', tip)
redis.call('XADD', KEYS[2], '*', 'e', ARGV[3], 'h', tip)
redis.call('PUBLISH', ARGV[4], '{"roster":' .. version .. '}')
return version
