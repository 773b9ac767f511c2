--[[ Remove runs that have ended and owe nothing: cancels and the like must be carried out first.
  KEYS[n] run hash; all other keys are derived from it
  ARGV    per run: its row for `forget`
  Returns per run {1} when it is removed, {0} when there is no such run, {2} when it has not ended or owes something, {-1, message} when it
  failed. ]]
-- @define ended
-- @include run
-- @include forget
local function remove(key, row)
  local found = redis.call("HMGET", key, "s", "owed", "parts")
  local status, owed, parts = found[1], found[2] or "", found[3]
  if not status then return { 0 } end
  if not ended[status] or owed ~= "" then return { 2 } end
  redis.call("UNLINK", key, unpack(keys_of(key, parts)))
  forget(prefix_of(key), row)
  return { 1 }
end

local replies = {}
for n, key in ipairs(KEYS) do replies[n] = answer(pcall(remove, key, ARGV[n])) end
return replies
