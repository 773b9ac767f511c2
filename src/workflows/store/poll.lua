--[[ What is due in a shard, claimed: for a while no other process gets it.
  KEYS[n] any key of the shard; the others share its hash tag and are derived from it
  ARGV[1] age from which an effect is overdue, ms
  ARGV    per key: operation and two more arguments
          timers  most timers, how far ahead they are claimed and for how long (ms, comma)
          owed    most runs, for how long they are claimed (ms)
          watch   most runs, age from which they are looked at (ms); all have their turn, and again half of that after it began
          drop    a timer, the time to which it was claimed: removed unless it has been set anew
  Returns per key {1, now (ms), claimed until (ms), timer, due, ...}, {1, run, effect, ..., "", run, ...}, {1, rows forgotten, run, ...},
  {1}; {-1, message} when it failed. ]]
-- @define ended
-- @define live
-- @define owed_in_hash
-- @include run
-- @include owed
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

-- Since when (ms, a bar) and what a run owes: a list of effects, most often all of them.
local function entries_of(key)
  local owed, entries = redis.call("HGET", key, "owed") or "", {}
  if is_in_hash(owed) then
    local pairs_of = redis.call("HRANDFIELD", key .. "|owed", most_effects, "WITHVALUES")
    for i = 2, #pairs_of, 2 do entries[#entries + 1] = pairs_of[i] end
  else
    for entry in string.gmatch(owed, "\t([^\n]*)") do entries[#entries + 1] = entry end
  end
  return entries
end

-- Adds the overdue effects of a run to `found`. Returns when to look at the run again; nil when it owes nothing.
local function collect(prefix, run, found, claim_ms)
  local entries = entries_of(prefix .. "run:" .. run)
  if #entries == 0 then return nil end
  local next_ms, before = math.huge, #found
  for _, entry in ipairs(entries) do
    local bar = string.find(entry, "|", 1, true)
    local due_ms = tonumber(string.sub(entry, 1, bar - 1)) + overdue_ms
    if due_ms <= now_ms then
      if #found == before then found[#found + 1] = run end
      found[#found + 1] = string.sub(entry, bar + 1)
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

-- The indexes that hold each run that has not ended, at any one time in one of them.
local watched = { "idx:active" }
for _, status in ipairs(live) do watched[#watched + 1] = "idx:status:" .. status end

-- Goes through the runs by index and creation, from where the look before ended, and begins anew when the time has come.
-- What changes its index meanwhile may be seen twice, or not until the next time.
function operations.watch(prefix, most, age_ms)
  local expired = redis.call("ZRANGEBYSCORE", prefix .. "ended", "-inf", text(now_ms), "LIMIT", 0, most_forgotten)
  for _, row in ipairs(expired) do forget(prefix, row) end
  local seen = { 1, #expired }
  most = tonumber(most)
  if most == 0 then return seen end
  local place = redis.call("HMGET", prefix .. "watch", "began", "index", "after")
  local began, index, after = tonumber(place[1] or ""), tonumber(place[2] or ""), place[3]
  if not began or (index > #watched and now_ms >= began + age_ms / 2) then began, index, after = now_ms, 1, "-inf" end
  if index > #watched then return seen end
  local before_us = text((began - age_ms) * 1000) -- those that grow old meanwhile wait, so that a round has an end
  while index <= #watched and #seen - 2 < most do
    local left = most - (#seen - 2)
    local rows = redis.call("ZRANGEBYSCORE", prefix .. watched[index], after, "(" .. before_us, "WITHSCORES", "LIMIT", 0, left)
    for i = 1, #rows, 2 do
      after = "(" .. rows[i + 1]
      if redis.call("EXISTS", prefix .. "run:" .. rows[i]) == 1 then seen[#seen + 1] = rows[i]
      else redis.call("ZREM", prefix .. watched[index], rows[i]) end -- its record is lost
    end
    if #rows / 2 < left then index, after = index + 1, "-inf" end
  end
  redis.call("HSET", prefix .. "watch", "began", text(began), "index", index, "after", after)
  return seen
end

local replies = {}
for n, key in ipairs(KEYS) do
  local first = 2 + (n - 1) * 3
  replies[n] = answer(pcall(operations[ARGV[first]], prefix_of(key), ARGV[first + 1], ARGV[first + 2]))
end
return replies
