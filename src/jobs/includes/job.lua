-- What every transition does: `read` checks that the job is where the caller believes, `move` changes its state.
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] .. string.format("%06d", time[2])

-- States that are listed by an index of their own; jobs in all other states are those that have a timer.
local indexed = { APPROVAL_REQUIRED = true, SCHEDULED = true, SUCCEEDED = true, FAILED = true, CANCELLED = true,
  TIMEOUT = true, DENIED = true }

-- Fields that a job does not have yet stand for nothing: 0 attempts, no worker, its own id as trace.
local function read(key, id, expected, attempt)
  local v = redis.call("HMGET", key, "state", "attempt", "worker", "tenant", "topic", "trace", "pool", "slot", "refunds",
    "waiting", "decided", "deadline", "max_attempts", "digest")
  if not v[1] then return nil, { 0, "missing", "", 0 } end
  local job = {
    key = key, id = id, prefix = string.sub(key, 1, string.find(key, ":", 1, true)), state = v[1],
    attempt = tonumber(v[2] or 0), worker = v[3] or "", tenant = v[4], topic = v[5], trace = v[6] or id,
    pool = v[7] or "", slot = v[8] or "", refunds = tonumber(v[9] or 0), waiting = v[10] or "", decided = v[11],
    deadline = tonumber(v[12]), max_attempts = tonumber(v[13]), digest = v[14],
  }
  if expected ~= "" and not string.find(expected, "," .. v[1] .. ",", 1, true) then
    return nil, { 0, "state", v[1], job.attempt }
  end
  if attempt ~= "" and tonumber(attempt) ~= job.attempt then return nil, { 0, "attempt", v[1], job.attempt } end
  return job
end

local function refused(job, to) return { 0, "transition", job.state .. ">" .. to, job.attempt } end

-- A list of fields to write; `add` leaves out what the job has already.
local function changes(job)
  local list = {}
  return list, function(name, value, was)
    if value ~= was then list[#list + 1], list[#list + 2] = name, value end
  end
end

-- Writes the new state, its line in the log (field "@<µs>") and whatever else changes, in one command.
local function move(job, to, worker, reason, list)
  redis.call("HSET", job.key, "state", to, "updated", now_us,
    "@" .. now_us, to .. "|" .. job.attempt .. "|" .. worker .. "|" .. reason, unpack(list))
  if job.state ~= to and indexed[job.state] then redis.call("ZREM", job.prefix .. "idx:state:" .. job.state, job.id) end
  if indexed[to] then redis.call("ZADD", job.prefix .. "idx:state:" .. to, now_us, job.id) end
end

-- Records a decision; an earlier one that says something else goes to the history.
local function decide(job, decision, add)
  if decision == "" then return end
  if job.decided then
    local earlier = redis.call("HGET", job.key, "decision")
    if earlier ~= decision then
      redis.call("RPUSH", job.key .. ":decisions", job.decided .. "|" .. earlier)
      redis.call("LTRIM", job.key .. ":decisions", -50, -1)
      redis.call("EXPIRE", job.key .. ":decisions", 2592000) -- 30 days: longer than any record is kept
    end
  end
  add("decision", decision)
  add("decided", now_us)
end

-- The sweeper looks at the job then.
local function set_timer(job, due_ms) redis.call("ZADD", job.prefix .. "timers", due_ms, job.id) end

-- `ms` from now, or the job's own deadline if that is sooner.
local function due_in(job, ms)
  local due = now_ms + ms
  if job.deadline and job.deadline < due then due = job.deadline end
  return due
end

local function text(number) return string.format("%.0f", number) end

local function describe(job)
  return { 1, job.state, job.attempt, job.tenant, job.topic, job.trace, job.worker, job.pool, job.slot, now_us }
end
