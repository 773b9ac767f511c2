--[[ Take one of a tenant's concurrency slots. Counting and taking are one step.
  KEYS[1] slots   sorted set: run id -> when it was taken, ms
  ARGV[1] run id  ARGV[2] how many there are; empty: any number
  Returns 1 when the run holds a slot now, else 0. ]]
if redis.call("ZSCORE", KEYS[1], ARGV[1]) then return 1 end
if ARGV[2] ~= "" and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local time = redis.call("TIME")
redis.call("ZADD", KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
