-- What every transition does: `read` checks that the job is where the caller believes, `move` changes its state.
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] .. string.format("%06d", time[2])

local function read(key, id, expected, attempt)
  local v = redis.call("HMGET", key, "state", "attempt", "refunds", "worker", "pool", "tenant", "topic", "trace",
    "deadline", "decided", "digest", "slot", "max_attempts", "waiting", "waiting_since")
  if not v[1] then return nil, { 0, "missing", "", 0 } end
  if expected ~= "" and not string.find(expected, "," .. v[1] .. ",", 1, true) then
    return nil, { 0, "state", v[1], tonumber(v[2]) }
  end
  if attempt ~= "" and attempt ~= v[2] then return nil, { 0, "attempt", v[1], tonumber(v[2]) } end
  return {
    key = key, id = id, prefix = string.sub(key, 1, string.find(key, ":", 1, true)), state = v[1],
    attempt = tonumber(v[2]), refunds = tonumber(v[3]), worker = v[4] or "", pool = v[5] or "", tenant = v[6],
    topic = v[7], trace = v[8] or "", deadline = tonumber(v[9]), decided = v[10], digest = v[11], slot = v[12] or "",
    max_attempts = tonumber(v[13]), waiting = v[14] or "", waiting_since = tonumber(v[15]),
  }
end

local function refused(job, to) return { 0, "transition", job.state .. ">" .. to, job.attempt } end

-- Writes the new state, its line in the log (field "@<µs>") and whatever else changes, in one command.
local function move(job, to, worker, reason, ...)
  redis.call("HSET", job.key, "state", to, "updated", now_us,
    "@" .. now_us, to .. "|" .. job.attempt .. "|" .. worker .. "|" .. reason, ...)
  if job.state ~= to then redis.call("ZREM", job.prefix .. "idx:state:" .. job.state, job.id) end
  redis.call("ZADD", job.prefix .. "idx:state:" .. to, now_us, job.id)
end

-- Records a decision; an earlier one that says something else goes to the history.
local function decide(job, decision)
  if decision == "" then return end
  if job.decided then
    local earlier = redis.call("HGET", job.key, "decision")
    if earlier ~= decision then
      redis.call("RPUSH", job.key .. ":decisions", job.decided .. "|" .. earlier)
      redis.call("LTRIM", job.key .. ":decisions", -50, -1)
      redis.call("EXPIRE", job.key .. ":decisions", 2592000) -- 30 days: longer than any record is kept
    end
  end
  redis.call("HSET", job.key, "decision", decision, "decided", now_us)
end

-- When the sweeper must look at the job: at its own deadline, or `ms` from now if that is sooner.
local function due_in(job, ms)
  local due = now_ms + ms
  if job.deadline and job.deadline < due then due = job.deadline end
  return string.format("%.0f", due)
end

local function describe(job)
  return { 1, job.state, job.attempt, job.tenant, job.topic, job.trace, job.worker, job.pool, job.slot, now_us }
end
