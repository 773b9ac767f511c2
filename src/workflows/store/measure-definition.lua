--[[ Read what a definition is, but not the definition.
  KEYS[1] definition   hash, see save-definition.lua
  Returns {tenant, current version, saved (µs), length of its document (bytes)}, {} when there is none or it is deleted. ]]
local found = redis.call("HMGET", KEYS[1], "tenant", "current", "saved", "deleted")
if not found[2] or found[4] then return {} end
return { found[1], found[2], found[3], redis.call("HSTRLEN", KEYS[1], "d:" .. found[2]) }
