--[[ Remove runs that have ended and owe nothing: cancels and the like must be carried out first.
  KEYS[n] run hash; all other keys are derived from it
  ARGV    per run: its row for `forget`
  Returns per run {1} when it is removed, {0} when there is no such run, {2} when it has not ended or owes something, {-1, message} when it
  failed. ]]
-- @define ended
-- @include run
-- @include forget
local function remove(key, row)
  local found = redis.call("HMGET", key, "s", "items")
  local status, listed = found[1], found[2]
  if not status then return { 0 } end
  if not ended[status] or redis.call("EXISTS", key .. "|owed") == 1 then return { 2 } end
  local keys = item_keys(key, listed)
  for _, part in ipairs(parts) do keys[#keys + 1] = key .. part end
  redis.call("UNLINK", key, unpack(keys))
  forget(prefix_of(key), row)
  return { 1 }
end

local replies = {}
for n, key in ipairs(KEYS) do replies[n] = answer(pcall(remove, key, ARGV[n])) end
return replies
