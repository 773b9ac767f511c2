--[[ A batch of commits, each a compare-and-set on the version of its own run; one may fail and others pass.
  KEYS[n] run hash; all other keys are derived from it
  ARGV[1] how long an ended run is kept, ms   ARGV[2] when the sweeper may look at what a write owes, ms
  ARGV    per run: id, number of further arguments, version that is expected, status at that version, outermost run
          (empty: the run itself), workflow, its version, and what is written, see includes/write.lua
  Returns per run {1, now (µs)} when it was made, {0} when there is no such run, {2} when its version is another one,
  {-1, message} when it failed. ]]
-- @define ended
-- @define owed_in_hash
-- @include run
-- @include owed
-- @include write
local function commit(n, key, id)
  local expected, from, root, workflow, workflow_version = take(), take(), take(), take(), take()
  local found = redis.call("HMGET", key, "v", "s", "c", "owed", "parts")
  local version, status = found[1], found[2]
  if not version then return { 0 } end
  if version ~= expected then return { 2 } end
  if status ~= from then error("run " .. id .. " is " .. status .. ", not " .. from, 0) end
  if ended[from] and ARGV[at + 1] ~= from then error("run " .. id .. " has ended " .. from, 0) end
  local run = { status = status, created = found[3], owed = found[4] or "", parts = found[5] or "" }
  write(key, id, run, false, root, workflow, workflow_version)
  return { 1, text(first_us + n - 1) }
end

local replies = {}
local start = 3
for n, key in ipairs(KEYS) do
  at = start + 2
  replies[n] = answer(pcall(commit, n, key, ARGV[start]))
  start = start + 2 + tonumber(ARGV[start + 1])
end
return replies
