--[[ What is overdue in one shard. Bounded reads of indexes; ids whose record is gone are removed on the way.
  KEYS[1] any key of the shard; the others share its hash tag and are derived from it
  ARGV[1] most ids per list   ARGV[2] keep ended jobs listed, ms   ARGV[3] SCHEDULED from this time on, µs
  Returns {ids whose timer ran out, SCHEDULED, where to go on with SCHEDULED (µs), now (ms)}. ]]
local prefix = string.sub(KEYS[1], 1, 6) -- "{jNN}:"
local most, keep_ms, from_us = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local function text(value) return string.format("%.0f", value) end

-- Ids of an index up to a score; those without a record leave the index.
local function due(index, min, max)
  local live = {}
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", index, min, max, "LIMIT", 0, most)) do
    if redis.call("EXISTS", prefix .. "job:" .. id) == 1 then live[#live + 1] = id
    else redis.call("ZREM", index, id) end
  end
  return live
end

local timers = due(prefix .. "timers", "-inf", text(now_ms))
-- Whoever handles one of them sets its timer anew. Those that cannot be settled now step back, so that the others are seen.
for _, id in ipairs(timers) do redis.call("ZADD", prefix .. "timers", "XX", now_ms + 5000, id) end
local scheduled = due(prefix .. "idx:state:SCHEDULED", "(" .. from_us, text(now_us - 5000000))
local next_us = "0"
if #scheduled > 0 then
  next_us = text(tonumber(redis.call("ZSCORE", prefix .. "idx:state:SCHEDULED", scheduled[#scheduled])))
end

local function forget(index, before)
  local old = redis.call("ZRANGEBYSCORE", index, "-inf", text(before), "LIMIT", 0, 500)
  if #old > 0 then redis.call("ZREM", index, unpack(old)) end
  return old
end
for _, state in ipairs({ "SUCCEEDED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED" }) do
  -- Their records have expired, but Redis samples keys to find those: at thousands a second it falls behind for ever.
  for _, id in ipairs(forget(prefix .. "idx:state:" .. state, now_us - keep_ms * 1000)) do
    redis.call("UNLINK", prefix .. "job:" .. id, prefix .. "decisions:" .. id)
  end
end
for _, state in ipairs({ "APPROVED", "REJECTED", "EXPIRED", "SUPERSEDED" }) do
  for _, member in ipairs(forget(prefix .. "approvals:" .. state, now_us - keep_ms * 1000)) do
    redis.call("UNLINK", prefix .. "approval:" .. member)
  end
end
forget(prefix .. "dlq", now_ms - keep_ms)
return { timers, scheduled, next_us, text(now_ms) }
