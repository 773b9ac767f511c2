--[[ Write the end of one job, unconditionally: record, log, state index; lease and deadline go, the record expires.
  KEYS[1] job   KEYS[2] events   KEYS[3] dispatched   KEYS[4] succeeded   KEYS[5] leases   KEYS[6] deadlines
  ARGV[1] job id   ARGV[2] result pointer   ARGV[3] now, µs
  Returns 1. ]]
redis.call("HSET", KEYS[1], "state", "SUCCEEDED", "updated_at", ARGV[3], "result_ptr", ARGV[2])
redis.call("RPUSH", KEYS[2], ARGV[3] .. "|SUCCEEDED")
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZADD", KEYS[4], ARGV[3], ARGV[1])
redis.call("ZREM", KEYS[5], ARGV[1])
redis.call("ZREM", KEYS[6], ARGV[1])
redis.call("EXPIRE", KEYS[1], 604800)
redis.call("EXPIRE", KEYS[2], 604800)
return 1
