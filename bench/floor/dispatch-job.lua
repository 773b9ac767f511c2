--[[ Write the dispatch of one job, unconditionally: record, log, state index, lease and deadline.
  KEYS[1] job   KEYS[2] events   KEYS[3] pending   KEYS[4] dispatched   KEYS[5] leases   KEYS[6] deadlines
  ARGV[1] job id   ARGV[2] worker   ARGV[3] now, µs   ARGV[4] decision, bytes
  Returns 1. ]]
redis.call("HSET", KEYS[1], "state", "DISPATCHED", "updated_at", ARGV[3], "worker", ARGV[2], "attempts", 1,
  "decision", ARGV[4])
redis.call("RPUSH", KEYS[2], ARGV[3] .. "|DISPATCHED")
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZADD", KEYS[4], ARGV[3], ARGV[1])
redis.call("ZADD", KEYS[5], ARGV[3], ARGV[1])
redis.call("ZADD", KEYS[6], ARGV[3], ARGV[1])
return 1
