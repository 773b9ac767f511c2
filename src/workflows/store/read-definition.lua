--[[ Read a version of a definition.
  KEYS[1] definition   hash, see save-definition.lua
  ARGV[1] version; empty: the current one
  Returns {tenant, current version, created (µs), deleted (µs or empty), version, about, document}, {} when there is no such
  version. ]]
local found = redis.call("HMGET", KEYS[1], "tenant", "current", "created", "deleted")
if not found[2] then return {} end
local version = ARGV[1] == "" and found[2] or ARGV[1]
local about = redis.call("HMGET", KEYS[1], "v:" .. version, "d:" .. version)
if not about[1] then return {} end
return { found[1], found[2], found[3], found[4] or "", version, about[1], about[2] }
