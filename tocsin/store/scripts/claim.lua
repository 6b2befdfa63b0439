#!lua flags=allow-oom
-- Takes what is due for a while: each member's score moves to the end of the claim, so a claim whose holder dies comes back by itself.
--
-- KEYS  1 timers or outbox  2 incidents  3 meta  4 claims  5 begun
-- ARGV  fence field, fence, now, end of the claim, most members
-- Returns {'FENCED', holder} or {'OK', member, score it had, incident document or false, attempts begun or false, ...}. A member begins
-- with, or holds as its first digits, the incident's number.
local holder = redis.call('HGET', KEYS[3], ARGV[1])
if holder ~= ARGV[2] then
  return {'FENCED', holder or ''}
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
local result = {'OK'}
for i = 1, #due, 2 do
  redis.call('ZADD', KEYS[1], ARGV[4], due[i])
  redis.call('HSETNX', KEYS[4], due[i], due[i + 1])
  result[#result + 1] = due[i]
  result[#result + 1] = due[i + 1]
  result[#result + 1] = redis.call('HGET', KEYS[2], string.match(due[i], '%d+'))
  result[#result + 1] = redis.call('HGET', KEYS[5], due[i])
end
return result
