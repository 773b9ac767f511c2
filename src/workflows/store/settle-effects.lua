--[[ Effects that are done: they are owed no longer, and a run that owes nothing leaves the outbox.
  KEYS[n] run hash; all other keys are derived from it
  ARGV    per run: id, number of effects, their ids
  Returns per run {1}, {-1, message} when it failed. ]]
-- @include run
local function settle(key, id, from, to)
  local owed = key .. "|owed"
  for first = from, to, 1000 do redis.call("HDEL", owed, unpack(ARGV, first, math.min(first + 999, to))) end
  if redis.call("EXISTS", owed) == 0 then redis.call("ZREM", prefix_of(key) .. "outbox", id) end
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
