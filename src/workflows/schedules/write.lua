--[[ Write schedules, each only if nobody has written it since it was read.
  KEYS[n] schedule   hash: v (version), tenant, def (definition, JSON), progress (JSON)
  ARGV[1] times that the history holds
  ARGV    per schedule: id, version that it must have (0: there must be none), tenant, definition (empty: as it is),
          progress, when it must be looked at (ms; empty: never), number of times for the history, those times oldest first
  Returns per schedule {1, version}; {0} when it has another version; {-1, message} when it failed. ]]
-- @include schedule
local at = 2
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function write(key, entry)
  local id, prefix = entry.id, prefix_of(key)
  local version = tonumber(redis.call("HGET", key, "v") or 0)
  if version ~= tonumber(entry.version) then return { 0 } end
  if version == 0 then redis.call("ZADD", prefix .. "schedules:org:" .. entry.tenant, text(now_us), id) end
  version = version == 0 and now_us or version + 1 -- no version comes twice, also not after a removal
  redis.call("HSET", key, "v", text(version), "tenant", entry.tenant, "progress", entry.progress)
  if entry.definition ~= "" then redis.call("HSET", key, "def", entry.definition) end
  if entry.due == "" then redis.call("ZREM", prefix .. "schedules", id)
  else redis.call("ZADD", prefix .. "schedules", entry.due, id) end
  for _, row in ipairs(entry.history) do redis.call("LPUSH", key .. "|history", row) end
  if #entry.history > 0 then redis.call("LTRIM", key .. "|history", 0, tonumber(ARGV[1]) - 1) end
  return { 1, text(version) }
end

local replies = {}
for n, key in ipairs(KEYS) do
  local entry = { id = take(), version = take(), tenant = take(), definition = take(), progress = take(), due = take() }
  entry.history = {}
  for i = 1, tonumber(take()) do entry.history[i] = take() end
  replies[n] = answer(pcall(write, key, entry))
end
return replies
