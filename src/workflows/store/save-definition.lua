--[[ Save a definition as its next version, unless somebody has saved another one since it was read.
  KEYS[1] definition   hash: tenant, current version, hash of its document, saved (µs), created (µs), deleted (µs, only
                       when it is), `v:<version>` -> `<saved, µs>|<about, JSON>`, `d:<version>` -> document, JSON
  ARGV[1] tenant  ARGV[2] version that must be the current one; 0: there must be no definition; empty: any
  ARGV[3] hash of the document  ARGV[4] about the version, JSON  ARGV[5] document, JSON
  ARGV[6] when the definition of another tenant was deleted (µs) that no run keeps any more: it makes way, with its
          versions; empty: it stays
  Returns {"saved" or "unchanged", version, saved (µs)}, {"conflict", version}, {"tenant", for how long it has been deleted
  (µs; empty: it is not), deleted (µs)} when it is another tenant's. ]]
local key, tenant, expected, hash = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local found = redis.call("HMGET", key, "tenant", "current", "hash", "saved", "deleted")
local isForeign = found[1] and found[1] ~= tenant
if isForeign and not found[5] then return { "tenant", "", "" } end
if isForeign and found[5] ~= ARGV[6] then
  local time = redis.call("TIME")
  return { "tenant", string.format("%.0f", time[1] * 1000000 + time[2] - found[5]), found[5] }
end
local last = tonumber(found[2] or 0)
local current = found[5] and 0 or last
if expected ~= "" and tonumber(expected) ~= current then return { "conflict", current } end
if current > 0 and found[3] == hash then return { "unchanged", current, found[4] } end

local time = redis.call("TIME")
local now_us = string.format("%.0f", time[1] * 1000000 + time[2])
local version = last + 1 -- also of a definition that was deleted: runs, and memories of processes, may keep its versions
if isForeign then redis.call("DEL", key) end
redis.call("HSET", key, "tenant", tenant, "current", version, "hash", hash, "saved", now_us,
  "v:" .. version, now_us .. "|" .. ARGV[4], "d:" .. version, ARGV[5])
if current == 0 then redis.call("HSET", key, "created", now_us) end
redis.call("HDEL", key, "deleted")
return { "saved", version, now_us }
