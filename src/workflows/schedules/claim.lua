--[[ Claim the schedules of shards that must be looked at: for a while nobody else gets them.
  KEYS[n] due      sorted set: schedule id -> when it must be looked at, ms
  ARGV[1] most schedules of a shard   ARGV[2] for how long they are claimed, ms
  Returns per shard {0, now (ms), id, version, definition, progress, id, ...}; {-1, message} when it failed. ]]
-- @include schedule
local most, until_ms = ARGV[1], text(now_ms + tonumber(ARGV[2]))

local function claim(due)
  local prefix, claimed = prefix_of(due), { 0, text(now_ms) }
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", due, "-inf", text(now_ms), "LIMIT", 0, most)) do
    local found = redis.call("HMGET", prefix .. "schedule:" .. id, "v", "def", "progress")
    if not found[1] then
      redis.call("ZREM", due, id)
    else
      redis.call("ZADD", due, until_ms, id)
      for _, value in ipairs({ id, found[1], found[2], found[3] }) do claimed[#claimed + 1] = value end
    end
  end
  return claimed
end

local replies = {}
for n, due in ipairs(KEYS) do replies[n] = answer(pcall(claim, due)) end
return replies
