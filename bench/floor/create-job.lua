--[[ Create one job: a hash of typical size and one index entry.
  KEYS[1] job      hash
  KEYS[2] recent   sorted set: job id -> update time, µs
  ARGV[1] job id   ARGV[2] request, bytes   ARGV[3] now, µs
  Returns 1. ]]
redis.call("HSET", KEYS[1], "state", "PENDING", "request", ARGV[2], "topic", "job.bench", "tenant", "default",
  "trace", ARGV[1], "attempts", 0, "created_at", ARGV[3], "updated_at", ARGV[3])
redis.call("ZADD", KEYS[2], ARGV[3], ARGV[1])
return 1
