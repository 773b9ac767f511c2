-- Ends the job. Until its end has been published its timer stays, so that the sweeper would publish it.
-- Args: expected, attempt, worker, to, result pointer, error code, error message, execution ms, artifacts, decision, hash,
--       dead letter (0/1), how long the record is kept (ms)
local publish_within_ms = 5000

local function bury(job, to, code, message, keep_ms)
  redis.call("ZADD", job.prefix .. "dlq", now_ms, job.id)
  local entry = job.prefix .. "dlq:" .. job.id
  redis.call("DEL", entry)
  redis.call("HSET", entry, "job_id", job.id, "topic", job.topic, "tenant", job.tenant, "status", to, "reason", message,
    "reason_code", code, "last_state", job.state, "attempts", job.attempt - job.refunds, "created", now_us)
  redis.call("PEXPIRE", entry, keep_ms)
end

local function finish(key, id, expected, attempt, worker, to, result_ptr, code, message, execution_ms, artifacts,
                      decision, hash, dead_letter, keep_ms)
  local job, problem = read(key, id, expected, attempt)
  if not job then return problem end
  if worker ~= "" and job.worker ~= "" and worker ~= job.worker then
    return { 0, "worker", job.state, job.attempt }
  end
  if not transitions[job.state][to] then return refused(job, to) end
  if job.worker == "" then job.worker = worker end -- who of the topic's queue group took it is known only now
  decide(job, decision)
  local fields = { "last_state", job.state, "execution_ms", execution_ms }
  local function set(name, value)
    if value ~= "" then fields[#fields + 1], fields[#fields + 2] = name, value end
  end
  set("worker", job.worker)
  set("result_ptr", result_ptr)
  set("error_code", code)
  set("error_message", message)
  set("artifacts", artifacts)
  set("job_hash", hash)
  if job.waiting ~= "" then fields[#fields + 1], fields[#fields + 2] = "waiting", "" end
  move(job, to, job.worker, code, unpack(fields))
  redis.call("ZADD", job.prefix .. "timers", now_ms + publish_within_ms, id)
  redis.call("PEXPIRE", key, keep_ms)
  if dead_letter == "1" then bury(job, to, code, message, keep_ms) end
  return describe(job)
end
