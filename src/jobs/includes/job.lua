-- What every transition does: `read` checks that the job is where the caller believes, `move` changes its state.
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] .. string.format("%06d", time[2])

local function read(key, id, expected, attempt)
  local v = redis.call("HMGET", key, "state", "attempt", "refunds", "worker", "pool", "tenant", "topic", "trace",
    "deadline", "decision", "digest", "slot", "max_attempts", "decided", "waiting_since")
  if not v[1] then return nil, { 0, "missing", "", 0 } end
  if expected ~= "" and not string.find(expected, "," .. v[1] .. ",", 1, true) then
    return nil, { 0, "state", v[1], tonumber(v[2]) }
  end
  if attempt ~= "" and attempt ~= v[2] then return nil, { 0, "attempt", v[1], tonumber(v[2]) } end
  local prefix = string.sub(key, 1, string.find(key, ":", 1, true))
  return {
    key = key, id = id, prefix = prefix, state = v[1], attempt = tonumber(v[2]), refunds = tonumber(v[3]),
    worker = v[4] or "", pool = v[5] or "", tenant = v[6], topic = v[7], trace = v[8] or "", deadline = tonumber(v[9]),
    decision = v[10], digest = v[11], slot = v[12] or "", max_attempts = tonumber(v[13]), decided = v[14],
    waiting_since = tonumber(v[15]),
  }
end

local function refused(job, to) return { 0, "transition", job.state .. ">" .. to, job.attempt } end

local function move(job, to, worker, reason)
  if job.state ~= to then redis.call("ZREM", job.prefix .. "idx:state:" .. job.state, job.id) end
  redis.call("ZADD", job.prefix .. "idx:state:" .. to, now_us, job.id)
  redis.call("RPUSH", job.key .. ":events", now_us .. "|" .. to .. "|" .. job.attempt .. "|" .. worker .. "|" .. reason)
end

-- Records a decision; an earlier one that says something else goes to the history.
local function decide(job, decision)
  if decision == "" then return end
  if job.decision and job.decision ~= decision then
    redis.call("RPUSH", job.key .. ":decisions", (job.decided or "0") .. "|" .. job.decision)
    redis.call("LTRIM", job.key .. ":decisions", -50, -1)
    redis.call("EXPIRE", job.key .. ":decisions", 2592000) -- 30 days: longer than any record is kept
  end
  redis.call("HSET", job.key, "decision", decision, "decided", now_us)
end

-- The earliest of the job's own deadline and `ms` from now; none of both removes it.
local function set_deadline(job, ms)
  local due = job.deadline
  if ms > 0 and (not due or now_ms + ms < due) then due = now_ms + ms end
  if due then redis.call("ZADD", job.prefix .. "deadlines", due, job.id)
  else redis.call("ZREM", job.prefix .. "deadlines", job.id) end
end

local function describe(job)
  return { 1, job.state, job.attempt, job.tenant, job.topic, job.trace, job.worker, job.pool, job.slot, now_us }
end
