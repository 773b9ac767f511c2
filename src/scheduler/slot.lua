--[[ Take or give back one of a tenant's concurrency slots. Counting and taking are one step.
  KEYS[1] slots   sorted set: job id -> when it was taken, ms
  ARGV[1] job id  ARGV[2] how many there are; 0 gives back
  Returns 1 when the job holds a slot now, else 0. ]]
if ARGV[2] == "0" then
  redis.call("ZREM", KEYS[1], ARGV[1])
  return 0
end
if redis.call("ZSCORE", KEYS[1], ARGV[1]) then return 1 end
if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local time = redis.call("TIME")
redis.call("ZADD", KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
