#!lua flags=allow-oom
-- Appends what the store holds already in another form: news passed on to another shard, what cannot be read.
--
-- allow-oom: a full store must not stop the correlator, whose work is what empties it.
--
-- KEYS  1 stream
-- ARGV  most entries to keep or '' for all, fields and values...
-- Returns the entry's id.
if ARGV[1] ~= '' then
  return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
