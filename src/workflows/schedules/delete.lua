--[[ Remove a schedule with its history.
  KEYS[1] schedule   hash, see write.lua
  ARGV[1] id   ARGV[2] tenant
  Returns 1 when done, 0 when the tenant has no such schedule. ]]
-- @include schedule
local key, id, tenant = KEYS[1], ARGV[1], ARGV[2]
if redis.call("HGET", key, "tenant") ~= tenant then return 0 end
redis.call("DEL", key, key .. "|history")
redis.call("ZREM", prefix_of(key) .. "schedules", id)
redis.call("ZREM", prefix_of(key) .. "schedules:org:" .. tenant, id)
return 1
