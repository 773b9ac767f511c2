--[[ What is overdue in one shard. Bounded reads of indexes; ids whose record is gone are removed on the way.
  KEYS[1] any key of the shard; the others share its hash tag and are derived from it
  ARGV[1] most ids per list            ARGV[2] replay PENDING older than, ms     ARGV[3] republish ends older than, ms
  ARGV[4] keep ended jobs listed, ms   ARGV[5] SCHEDULED from this time on, µs
  Returns {expired leases, passed deadlines, old PENDING, unpublished ends, SCHEDULED, next SCHEDULED time}; leases are
  flat (id, attempt, worker), all other lists are ids. ]]
local prefix = string.sub(KEYS[1], 1, string.find(KEYS[1], ":", 1, true))
local most, pending_ms, outbox_ms, keep_ms, from_us = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local function us(value) return string.format("%.0f", value) end

-- Ids of an index up to a score whose jobs are in one of the given states; all others leave the index.
local function due(index, min, max, states)
  local live = {}
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", index, min, max, "LIMIT", 0, most)) do
    local v = redis.call("HMGET", prefix .. "job:" .. id, "state", "attempt", "worker")
    if v[1] and states[v[1]] then live[#live + 1] = { id, v[2], v[3] or "" } else redis.call("ZREM", index, id) end
  end
  return live
end

local function ids(rows)
  local out = {}
  for n, row in ipairs(rows) do out[n] = row[1] end
  return out
end

local leases = {}
local held = { DISPATCHED = true, RUNNING = true }
for _, row in ipairs(due(prefix .. "leases", "-inf", now_ms, held)) do
  leases[#leases + 1], leases[#leases + 2], leases[#leases + 3] = row[1], row[2], row[3]
end
local open = { PENDING = true, APPROVAL_REQUIRED = true, SCHEDULED = true, DISPATCHED = true, RUNNING = true }
local deadlines = ids(due(prefix .. "deadlines", "-inf", now_ms, open))
local pending = ids(due(prefix .. "idx:state:PENDING", "-inf", us(now_us - pending_ms * 1000), { PENDING = true }))
local scheduled = ids(due(prefix .. "idx:state:SCHEDULED", "(" .. from_us, us(now_us - 5000000), { SCHEDULED = true }))
local next_us = "0"
if #scheduled > 0 then
  next_us = us(tonumber(redis.call("ZSCORE", prefix .. "idx:state:SCHEDULED", scheduled[#scheduled])))
end
local outbox = redis.call("ZRANGEBYSCORE", prefix .. "outbox", "-inf", now_ms - outbox_ms, "LIMIT", 0, most)

local forget = us(now_us - keep_ms * 1000)
for _, state in ipairs({ "SUCCEEDED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED" }) do
  local index = prefix .. "idx:state:" .. state
  local old = redis.call("ZRANGEBYSCORE", index, "-inf", forget, "LIMIT", 0, 500)
  if #old > 0 then redis.call("ZREM", index, unpack(old)) end
end
local old = redis.call("ZRANGEBYSCORE", prefix .. "dlq", "-inf", now_ms - keep_ms, "LIMIT", 0, 500)
if #old > 0 then redis.call("ZREM", prefix .. "dlq", unpack(old)) end
return { leases, deadlines, pending, outbox, scheduled, next_us }
