-- Ends the job. Until its end has been published its timer stays, so that the sweeper would publish it.
-- Args: expected, attempt, digest, worker, to, result pointer, error code, error message, execution ms, artifacts, decision, hash,
--       dead letter (0/1), how long the record is kept (ms), principal (with a decision), decision about the output,
--       whether the output is still to be looked at (0/1)
local publish_within_ms = 5000

local function bury(key, id, v, to, code, message, keep_ms)
  local entry = prefix_of(key) .. "dlq:" .. id
  local refunds = tonumber(redis.call("HGET", key, "refunds") or 0)
  redis.call("ZADD", prefix_of(key) .. "dlq", now_ms, id)
  redis.call("DEL", entry)
  redis.call("HSET", entry, "job_id", id, "topic", v[4], "tenant", v[3], "status", to, "reason", message,
    "reason_code", code, "last_state", v[1], "attempts", tonumber(v[2] or 0) - refunds, "created", now_us)
  redis.call("PEXPIRE", entry, keep_ms)
end

local function finish(key, id, expected, expected_attempt, digest, worker, to, result_ptr, code, message, execution_ms, artifacts,
                      decision, hash, dead_letter, keep_ms, actor, output, owes_scan)
  local v = redis.call("HMGET", key, "state", "attempt", "tenant", "topic", "trace", "worker", "pool", "slot", "decided",
    "lease", "run")
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, expected, expected_attempt, to)
  if refused then return refused end
  if digest ~= "" and digest ~= redis.call("HGET", key, "digest") then return { 0, "digest", state, attempt } end
  if not v[6] or v[6] == "" then v[6] = worker -- who of the topic's queue group took it is known only now
  elseif worker ~= "" and worker ~= v[6] then return { 0, "worker", state, attempt } end
  decide(key, id, decision, v[9])
  if decision ~= "" or state == "APPROVAL_REQUIRED" then
    note(key, id, state, to, code, v[3], v[4], v[5] or id, actor, decision)
  end
  if output and output ~= "" then
    remember(key, id, now_us, output)
    note(key, id, state, to, code, v[3], v[4], v[5] or id, actor, output)
  end
  local line = log_line(to, attempt, v[6], code)
  if to == "SUCCEEDED" then
    redis.call("HSET", key, "state", to, "updated", now_us, log_field, line, "last_state", state, "worker", v[6],
      "result_ptr", result_ptr, "execution_ms", execution_ms)
  else
    redis.call("HSET", key, "state", to, "updated", now_us, log_field, line, "last_state", state, "worker", v[6],
      "result_ptr", result_ptr, "execution_ms", execution_ms, "error_code", code, "error_message", message,
      "waiting", "")
  end
  if hash ~= "" then redis.call("HSET", key, "job_hash", hash) end
  if state == "APPROVAL_REQUIRED" then drop_approval(key, id, code) end
  if artifacts ~= "" then redis.call("HSET", key, "artifacts", artifacts) end
  reindex(key, id, state, to)
  -- The lease's timer does for a job that ended well: only listeners are owed anything, and they look by themselves.
  -- A run is told until it has taken note.
  local run = v[11]
  if owes_scan == "1" then redis.call("HSET", key, "scan", "1") end
  if to ~= "SUCCEEDED" or owes_scan == "1" or run or not v[10] or v[10] == "" then
    set_timer(key, id, now_ms + publish_within_ms)
  end
  redis.call("PEXPIRE", key, keep_ms)
  local is_retried = run and string.find(run, "," .. to .. ",", 1, true) -- the run makes another attempt of it
  if dead_letter == "1" and not is_retried then bury(key, id, v, to, code, message, keep_ms) end
  local reply = describe(v, id)
  reply[11] = run or ""
  return reply
end
