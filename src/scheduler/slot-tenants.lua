--[[ Keep or forget a tenant in the list of those whose jobs hold or want slots. Redis' clock decides.
  KEYS[1] list     sorted set: tenant -> when a slot was last asked for, ms
  ARGV[1] tenant   ARGV[2] 0: asked for now; else forget it when nobody has asked for so long, ms
  Returns 1 when it is listed now, else 0. ]]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == "0" then
  redis.call("ZADD", KEYS[1], now_ms, ARGV[1])
  return 1
end
local asked_ms = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not asked_ms then return 0 end
if now_ms - tonumber(asked_ms) < tonumber(ARGV[2]) then return 1 end
redis.call("ZREM", KEYS[1], ARGV[1])
return 0
