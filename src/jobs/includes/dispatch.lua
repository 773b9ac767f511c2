-- Gives the job to a worker: the next attempt, with a lease when the worker keeps one.
-- Args: expected, attempt, digest, worker, pool, leased, lease ms, timeout ms, decision, refund, max attempts, slot
local function dispatch(key, id, expected, attempt, digest, worker, pool, leased, lease_ms, timeout_ms, decision, refund,
                        max_attempts, slot)
  local job, problem = read(key, id, expected, attempt)
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state]["DISPATCHED"] then return refused(job, "DISPATCHED") end
  job.attempt = job.attempt + 1
  local ends = due_in(job, tonumber(timeout_ms))
  local lease = leased == "1" and string.format("%.0f", now_ms + tonumber(lease_ms)) or ""
  local fields = { "attempt", job.attempt, "worker", worker, "pool", pool, "max_attempts", max_attempts, "slot", slot,
    "refunds", job.refunds + tonumber(refund), "ends", ends, "lease", lease, "waiting", "" }
  if decision ~= "" and not job.decided then -- the first decision goes with the same command
    fields[#fields + 1], fields[#fields + 2], fields[#fields + 3], fields[#fields + 4] = "decision", decision, "decided", now_us
  else
    decide(job, decision)
  end
  move(job, "DISPATCHED", worker, "", unpack(fields))
  redis.call("ZADD", job.prefix .. "timers", lease ~= "" and tonumber(lease) < tonumber(ends) and lease or ends, id)
  return { 1, job.state, job.attempt, job.deadline and string.format("%.0f", job.deadline - now_ms) or "", now_us }
end
