-- Gives the job to a worker: the next attempt, with a lease when the worker keeps one.
-- Args: expected, attempt, digest, worker, pool, leased, lease ms, timeout ms, decision, refund, max attempts, slot,
--       principal (with a decision), approval to use up (may be empty)
local function dispatch(key, id, expected, expected_attempt, digest, worker, pool, leased, lease_ms, timeout_ms, decision,
                        refund, max_attempts, slot, actor, approval)
  local v = redis.call("HMGET", key, "state", "attempt", "digest", "deadline", "decided", "refunds", "slot", "waiting",
    "tenant", "topic", "trace")
  local state, attempt, deadline = v[1], tonumber(v[2] or 0), v[4]
  local refused = refusal(state, attempt, expected, expected_attempt, "DISPATCHED")
  if refused then return refused end
  if digest ~= "" and digest ~= v[3] then return { 0, "digest", state, attempt } end
  if approval ~= "" and not use_approval(key, id, approval) then return { 0, "approval", state, attempt } end
  attempt = attempt + 1
  local ends = due_in(timeout_ms, deadline)
  local due, lease = ends, ""
  if leased == "1" then
    due = math.min(now_ms + lease_ms, ends)
    lease = text(now_ms + lease_ms)
  end
  local line = log_line("DISPATCHED", attempt, worker, "")
  if decision ~= "" and not v[5] then -- the first decision goes with the same command
    redis.call("HSET", key, "state", "DISPATCHED", "updated", now_us, log_field, line, "attempt", attempt, "worker", worker,
      "pool", pool, "max_attempts", max_attempts, "ends", text(ends), "lease", lease, "decision", decision, "decided", now_us)
  else
    decide(key, id, decision, v[5])
    redis.call("HSET", key, "state", "DISPATCHED", "updated", now_us, log_field, line, "attempt", attempt, "worker", worker,
      "pool", pool, "max_attempts", max_attempts, "ends", text(ends), "lease", lease, "waiting", "")
  end
  if refund == "1" then redis.call("HINCRBY", key, "refunds", 1) end
  if slot ~= (v[7] or "") then redis.call("HSET", key, "slot", slot) end
  if decision ~= "" then note(key, id, state, "DISPATCHED", "", v[9], v[10], v[11] or id, actor, decision) end
  reindex(key, id, state, "DISPATCHED")
  set_timer(key, id, due)
  return { 1, state, attempt, deadline and text(deadline - now_ms) or "", now_us }
end
