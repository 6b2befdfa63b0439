#!lua flags=allow-oom
-- Makes the caller the holder of a role, or finds that it still is; for the role that claims work, what was claimed is due again.
--
-- KEYS  1 meta  2 claims  3 timers  4 outbox
-- ARGV  fence field, '1' to take up claims or '', the caller's fence when it must hold the role already or ''
-- Returns the fence, or with nothing written -1: another process holds the role.
local fence
if ARGV[3] == '' then
  fence = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
elseif redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] then
  fence = tonumber(ARGV[3])
else
  return -1
end
if ARGV[2] ~= '' then
  local claims = redis.call('HGETALL', KEYS[2])
  for i = 1, #claims, 2 do
    local set = KEYS[3]
    if string.match(claims[i], '%D') then
      set = KEYS[4]
    end
    redis.call('ZADD', set, 'XX', claims[i + 1], claims[i])
  end
  redis.call('DEL', KEYS[2])
end
return fence
