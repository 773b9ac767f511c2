--[[ Take concurrency slots of tenants. Counting and taking are one step.
  KEYS[n] slots of a tenant  sorted set: run id -> when it was taken, or last seen to be in use, ms
  ARGV    per key: run id, how many slots there are (empty: any number)
  Returns per key {1} when the run holds a slot now, else {0}. ]]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function take(key, run, limit)
  if redis.call("ZSCORE", key, run) then return 1 end
  if limit ~= "" and redis.call("ZCARD", key) >= tonumber(limit) then return 0 end
  redis.call("ZADD", key, now_ms, run)
  return 1
end

local replies = {}
for n, key in ipairs(KEYS) do replies[n] = { take(key, ARGV[n * 2 - 1], ARGV[n * 2]) } end
return replies
