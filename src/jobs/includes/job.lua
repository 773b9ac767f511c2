-- What every transition does. Written for few calls and few tables: this runs thousands of times a second, and the
-- interpreter, not Redis, is most of the cost.
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local first_us = time[1] * 1000000 + time[2]
local now_us, log_field -- set for each operation by commit.lua

-- States that are listed by an index of their own; jobs in all other states are those that have a timer.
local indexed = { APPROVAL_REQUIRED = true, SCHEDULED = true, SUCCEEDED = true, FAILED = true, CANCELLED = true,
  TIMEOUT = true, DENIED = true }

local function text(number) return string.format("%.0f", number) end

-- Every key of a shard begins with "{jNN}:".
local function prefix_of(key) return string.sub(key, 1, 6) end

-- Nil when the job is as the caller believes and may go to `to`, else the refusal.
local function refusal(state, attempt, expected, expected_attempt, to)
  if not state then return { 0, "missing", "", 0 } end
  if expected ~= "" and not string.find(expected, "," .. state .. ",", 1, true) then
    return { 0, "state", state, attempt }
  end
  if expected_attempt ~= "" and tonumber(expected_attempt) ~= attempt then return { 0, "attempt", state, attempt } end
  if not transitions[state][to] then return { 0, "transition", state, attempt } end
end

local function log_line(to, attempt, worker, reason) return to .. "|" .. attempt .. "|" .. worker .. "|" .. reason end

local function reindex(key, id, from, to)
  if from ~= to and indexed[from] then redis.call("ZREM", prefix_of(key) .. "idx:state:" .. from, id) end
  if indexed[to] then redis.call("ZADD", prefix_of(key) .. "idx:state:" .. to, now_us, id) end
end

-- The sweeper looks at the job then.
local function set_timer(key, id, due_ms) redis.call("ZADD", prefix_of(key) .. "timers", due_ms, id) end

-- `ms` from now, or the job's own deadline (may be nil) if that is sooner.
local function due_in(ms, deadline)
  local due = now_ms + ms
  if deadline and tonumber(deadline) < due then return tonumber(deadline) end
  return due
end

-- Adds a decision to those that are not the current one.
local function remember(key, id, decided, decision)
  local history = prefix_of(key) .. "decisions:" .. id -- no job's record can have this name
  redis.call("RPUSH", history, decided .. "|" .. decision)
  redis.call("LTRIM", history, -50, -1)
  redis.call("EXPIRE", history, 2592000) -- 30 days: as long as any record is kept
end

-- Records a decision; an earlier one that says something else goes to the history. True when it says something new.
local function decide(key, id, decision, decided)
  if decision == "" then return false end
  local is_new = true
  if decided then
    local earlier = redis.call("HGET", key, "decision")
    is_new = earlier ~= decision
    if is_new then
      remember(key, id, decided, earlier)
    end
  end
  redis.call("HSET", key, "decision", decision, "decided", now_us)
  return is_new
end

-- Fields of the replies that describe a job as it was.
local about = { "state", "attempt", "tenant", "topic", "trace", "worker", "pool", "slot" }
local function describe(v, id)
  return { 1, v[1], tonumber(v[2] or 0), v[3], v[4], v[5] or id, v[6] or "", v[7] or "", v[8] or "", now_us }
end
