-- Ends the job. Its end stays owed in the outbox until it has been published.
-- Args: expected, attempt, worker, to, result pointer, error code, error message, execution ms, artifacts, decision, hash,
--       dead letter (0/1), how long the record is kept (ms)
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
  move(job, to, job.worker, code)
  decide(job, decision)
  redis.call("HSET", key, "state", to, "updated", now_us, "last_state", job.state, "worker", job.worker,
    "waiting", "")
  if result_ptr ~= "" then redis.call("HSET", key, "result_ptr", result_ptr) end
  if execution_ms ~= "0" then redis.call("HSET", key, "execution_ms", execution_ms) end
  if code ~= "" or message ~= "" then redis.call("HSET", key, "error_code", code, "error_message", message) end
  if artifacts ~= "" then redis.call("HSET", key, "artifacts", artifacts) end
  if hash ~= "" then redis.call("HSET", key, "job_hash", hash) end
  redis.call("ZREM", job.prefix .. "leases", id)
  redis.call("ZREM", job.prefix .. "deadlines", id)
  redis.call("ZADD", job.prefix .. "outbox", now_ms, id)
  if dead_letter == "1" then bury(job, to, code, message, keep_ms) end
  redis.call("PEXPIRE", key, keep_ms)
  redis.call("PEXPIRE", key .. ":events", keep_ms)
  return describe(job)
end
