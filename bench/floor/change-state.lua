--[[ Move one job from a state to the next.
  KEYS[1] job      hash
  ARGV[1] from     ARGV[2] to   ARGV[3] worker   ARGV[4] now, µs
  Returns 1 when it moved, 0 when it was in another state. ]]
if redis.call("HGET", KEYS[1], "state") ~= ARGV[1] then return 0 end
redis.call("HSET", KEYS[1], "state", ARGV[2], "worker", ARGV[3], "updated_at", ARGV[4])
return 1
