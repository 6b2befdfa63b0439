#!lua flags=allow-oom
-- Called immediately before a provider is: are these pages still wanted, and still ours?
--
-- KEYS  1 outbox  2 begun  3 meta
-- ARGV  fence field, fence, end of our claim, page ids...
-- Returns {'FENCED', holder} or {'OK', n, ...}: for each page the count of attempts begun so far with this one, 0 when it must not be sent.
local holder = redis.call('HGET', KEYS[3], ARGV[1])
if holder ~= ARGV[2] then
  return {'FENCED', holder or ''}
end
local result = {'OK'}
for i = 4, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[3]) then
    result[#result + 1] = redis.call('HINCRBY', KEYS[2], ARGV[i], 1)
  else
    result[#result + 1] = 0
  end
end
return result
