#!lua flags=allow-oom
-- Puts rules in force under the next version, unless the same text already is.
--
-- KEYS  1 rules
-- ARGV  sha256, text, file name, now, channel
-- Returns the version in force.
if redis.call('HGET', KEYS[1], 'sha256') == ARGV[1] then
  return tonumber(redis.call('HGET', KEYS[1], 'version'))
end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'sha256', ARGV[1], 'text', ARGV[2], 'file_name', ARGV[3], 'published_at', ARGV[4])
redis.call('PUBLISH', ARGV[5], '{"rules":' .. version .. '}')
return version
