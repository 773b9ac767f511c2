--[[ Create runs. One that exists already is left as it is and reported.
  KEYS[n] run hash; all other keys are derived from it
  ARGV[1] how long an ended run is kept, ms   ARGV[2] when the sweeper may look at what a write owes, ms
  ARGV    per run: id, number of further arguments, tenant, workflow, its version, outermost run (empty: the run itself),
          and what is written, see includes/write.lua
  Returns per run {1, created (µs)}, {2, fingerprint, header} when it exists, {-1, message} when it failed. ]]
-- @define ended
-- @define owed_in_hash
-- @include run
-- @include owed
-- @include write
local function create(n, key, id)
  local tenant, workflow, workflow_version, root = take(), take(), take(), take()
  local found = redis.call("HMGET", key, "fp", "h")
  if found[2] then return { 2, found[1] or "", found[2] } end
  local prefix = prefix_of(key)
  local created = text(first_us + n - 1) -- unique in this call, so that pages have a total order
  -- Its end takes back what begins here, also when it has ended already.
  local indexes = { "idx:runs", "idx:tenant:" .. tenant, "idx:wf:" .. workflow }
  if root ~= "" then indexes = { "idx:nested", "idx:parent:" .. root } end
  -- A full memory refuses the first command that writes, or none of those that follow.
  for _, index in ipairs(indexes) do redis.call("ZADD", prefix .. index, created, id) end
  redis.call("HINCRBY", prefix .. "uses:" .. workflow, workflow_version, 1)
  write(key, id, { created = created, owed = "", parts = "" }, true, root, workflow, workflow_version)
  return { 1, created }
end

local replies = {}
local start = 3
for n, key in ipairs(KEYS) do
  at = start + 2
  replies[n] = answer(pcall(create, n, key, ARGV[start]))
  start = start + 2 + tonumber(ARGV[start + 1])
end
return replies
