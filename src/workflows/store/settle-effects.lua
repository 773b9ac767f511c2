--[[ Effects that are done: they are owed no longer, and a run that owes nothing leaves the outbox.
  KEYS[n] run hash; all other keys are derived from it
  ARGV    per run: id, number of effects, their ids
  Returns per run {1}, {-1, message} when it failed. ]]
-- @define owed_in_hash
-- @include run
-- @include owed
local function settle(key, id, from, to)
  local owed = redis.call("HGET", key, "owed") or "" -- none when the run is gone
  local rest = owed
  if not is_in_hash(owed) then rest = without(owed, from, to)
  elseif settle_in_hash(key .. "|owed", from, to) then rest = "" end
  if rest == "" then
    redis.call("HDEL", key, "owed")
    redis.call("ZREM", prefix_of(key) .. "outbox", id)
  elseif rest ~= owed then
    redis.call("HSET", key, "owed", rest)
  end
  return { 1 }
end

local replies = {}
local start = 1
for n, key in ipairs(KEYS) do
  local last = start + 1 + tonumber(ARGV[start + 1])
  replies[n] = answer(pcall(settle, key, ARGV[start], start + 2, last))
  start = last + 1
end
return replies
