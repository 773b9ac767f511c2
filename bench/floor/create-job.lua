--[[ Write one new job as the plan lays it out, unconditionally: record, log, and its place in four indexes.
  KEYS[1] job   KEYS[2] events   KEYS[3] pending   KEYS[4] recent   KEYS[5] tenant   KEYS[6] topic
  ARGV[1] job id   ARGV[2] request, bytes   ARGV[3] now, µs
  Returns 1. ]]
redis.call("HSET", KEYS[1], "state", "PENDING", "request", ARGV[2], "topic", "job.bench", "tenant", "default",
  "trace", ARGV[1], "priority", "interactive", "attempts", 0, "created_at", ARGV[3], "updated_at", ARGV[3])
redis.call("RPUSH", KEYS[2], ARGV[3] .. "|PENDING")
for n = 3, 6 do redis.call("ZADD", KEYS[n], ARGV[3], ARGV[1]) end
return 1
