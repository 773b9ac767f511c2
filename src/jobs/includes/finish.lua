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
  local list, add = changes(job)
  if job.worker == "" and worker ~= "" then -- who of the topic's queue group took it is known only now
    job.worker = worker
    add("worker", worker)
  end
  add("last_state", job.state)
  add("result_ptr", result_ptr, "")
  add("execution_ms", execution_ms, "0")
  add("error_code", code, "")
  add("error_message", message, "")
  add("artifacts", artifacts, "")
  add("job_hash", hash, "")
  add("waiting", "", job.waiting)
  decide(job, decision, add)
  move(job, to, job.worker, code, list)
  set_timer(job, now_ms + publish_within_ms)
  redis.call("PEXPIRE", key, keep_ms)
  if dead_letter == "1" then bury(job, to, code, message, keep_ms) end
  return describe(job)
end
