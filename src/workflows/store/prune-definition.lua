--[[ Drop versions of a definition that nobody can start any more and that no run keeps.
  KEYS[1] definition   hash, see save-definition.lua
  ARGV[1] how many versions can be started: the newest ones
  ARGV[2] how long ago a version must have ceased to be one of those, ms: who read it then has created the run by now
  ARGV[3...] versions that runs keep
  Returns how many it dropped. ]]
local key, kept, grace_us = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
local in_use = {}
for i = 3, #ARGV do in_use[ARGV[i]] = true end
local time = redis.call("TIME")
local now_us = time[1] * 1000000 + time[2]
local current = tonumber(redis.call("HGET", key, "current") or 0)

-- It ceased when the version that is `kept` newer was saved. One that is dropped itself was saved even earlier.
local function has_ceased(version)
  local successor = redis.call("HGET", key, string.format("v:%d", version + kept))
  return not successor or tonumber(string.match(successor, "^%d+")) <= now_us - grace_us
end

local dropped = 0
for _, field in ipairs(redis.call("HKEYS", key)) do
  local version = string.match(field, "^v:(%d+)$")
  if version and tonumber(version) <= current - kept and not in_use[version] and has_ceased(tonumber(version)) then
    redis.call("HDEL", key, field, "d:" .. version)
    dropped = dropped + 1
  end
end
return dropped
