--[[ Delete a definition. Its versions stay for the runs that keep them.
  KEYS[1] definition   hash, see save-definition.lua
  ARGV[1] tenant
  Returns 1 when done, 0 when the tenant has no such definition. ]]
local found = redis.call("HMGET", KEYS[1], "tenant", "deleted")
if found[1] ~= ARGV[1] or found[2] then return 0 end
local time = redis.call("TIME")
redis.call("HSET", KEYS[1], "deleted", string.format("%.0f", time[1] * 1000000 + time[2]))
return 1
