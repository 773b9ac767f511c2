--[[ What is due in a shard, claimed: for a while no other process gets it.
  KEYS[n] any key of the shard; the others share its hash tag and are derived from it
  ARGV[1] age from which an effect is overdue, ms
  ARGV    per key: operation and two more arguments
          timers  most timers, how far ahead they are claimed and for how long (ms, comma)
          owed    most runs, for how long they are claimed (ms)
          watch   most runs, how long ago they were last looked at (ms); the next time is up to half as long later
          drop    a timer, the time to which it was claimed: removed unless it has been set anew
  Returns per key {1, now (ms), claimed until (ms), timer, due, ...}, {1, run, effect, ..., "", run, ...}, {1, rows forgotten, run, ...},
  {1}; {-1, message} when it failed. ]]
-- @define ended
-- @include run
-- @include forget
local overdue_ms = tonumber(ARGV[1])
local most_effects, most_forgotten = 1000, 200 -- per call
local operations = {}

function operations.timers(prefix, most, times)
  local ahead_ms, claim_ms = string.match(times, "^(%d+),(%d+)$")
  local timers, until_ms = prefix .. "timers", text(now_ms + ahead_ms + claim_ms)
  local due = redis.call("ZRANGEBYSCORE", timers, "-inf", text(now_ms + ahead_ms), "WITHSCORES", "LIMIT", 0, most)
  local claimed = { 1, text(now_ms), until_ms }
  for i = 1, #due, 2 do
    local run = string.match(due[i], "^[^|]*")
    local status = redis.call("HGET", prefix .. "run:" .. run, "s")
    if not status or ended[status] then
      redis.call("ZREM", timers, due[i]) -- nothing waits for it any more
    else
      redis.call("ZADD", timers, until_ms, due[i])
      claimed[#claimed + 1] = due[i]
      claimed[#claimed + 1] = due[i + 1]
    end
  end
  return claimed
end

function operations.drop(prefix, timer, claimed_ms)
  local timers = prefix .. "timers"
  if tonumber(redis.call("ZSCORE", timers, timer)) == tonumber(claimed_ms) then redis.call("ZREM", timers, timer) end
  return { 1 }
end

-- Adds the overdue effects of a run to `found`. Returns when to look at the run again; nil when it owes nothing.
local function collect(prefix, run, found, claim_ms)
  local owed = redis.call("HRANDFIELD", prefix .. "run:" .. run .. "|owed", most_effects, "WITHVALUES") -- most often all
  if #owed == 0 then return nil end
  local next_ms, before = math.huge, #found
  for i = 2, #owed, 2 do
    local bar = string.find(owed[i], "|", 1, true)
    local due_ms = tonumber(string.sub(owed[i], 1, bar - 1)) + overdue_ms
    if due_ms <= now_ms then
      if #found == before then found[#found + 1] = run end
      found[#found + 1] = string.sub(owed[i], bar + 1)
    else
      next_ms = math.min(next_ms, due_ms) -- not held up by those that are claimed
    end
  end
  if #found == before then return next_ms end
  found[#found + 1] = ""
  return math.min(next_ms, now_ms + claim_ms)
end

function operations.owed(prefix, most, claim_ms)
  local outbox, found = prefix .. "outbox", { 1 }
  for _, run in ipairs(redis.call("ZRANGEBYSCORE", outbox, "-inf", text(now_ms), "LIMIT", 0, most)) do
    local again_ms = collect(prefix, run, found, tonumber(claim_ms))
    if again_ms then redis.call("ZADD", outbox, text(again_ms), run) else redis.call("ZREM", outbox, run) end
    if #found > most_effects then break end
  end
  return found
end

-- Those that were looked at together are not the next time: what began in one minute would be looked at in one.
local function later_ms(run, most_ms)
  return most_ms < 1 and 0 or tonumber(string.sub(redis.sha1hex(run .. now_ms), 1, 8), 16) % most_ms
end

function operations.watch(prefix, most, older_ms)
  local expired = redis.call("ZRANGEBYSCORE", prefix .. "ended", "-inf", text(now_ms), "LIMIT", 0, most_forgotten)
  for _, row in ipairs(expired) do forget(prefix, row) end
  local active, seen = prefix .. "idx:active", { 1, #expired }
  local before = text(now_ms - tonumber(older_ms))
  for _, run in ipairs(redis.call("ZRANGEBYSCORE", active, "-inf", before, "LIMIT", 0, most)) do
    if redis.call("EXISTS", prefix .. "run:" .. run) == 0 then
      redis.call("ZREM", active, run)
    else
      redis.call("ZADD", active, text(now_ms + later_ms(run, tonumber(older_ms) / 2)), run)
      seen[#seen + 1] = run
    end
  end
  return seen
end

local replies = {}
for n, key in ipairs(KEYS) do
  local first = 2 + (n - 1) * 3
  replies[n] = answer(pcall(operations[ARGV[first]], prefix_of(key), ARGV[first + 1], ARGV[first + 2]))
end
return replies
