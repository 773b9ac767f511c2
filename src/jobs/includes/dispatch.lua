-- Gives the job to a worker: the next attempt, with a lease when the worker keeps one.
-- Args: expected, attempt, digest, worker, pool, leased, lease ms, timeout ms, decision, refund, max attempts, slot
local function dispatch(key, id, expected, attempt, digest, worker, pool, leased, lease_ms, timeout_ms, decision, refund,
                        max_attempts, slot)
  local job, problem = read(key, id, expected, attempt)
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state]["DISPATCHED"] then return refused(job, "DISPATCHED") end
  local from = job.state
  job.attempt = job.attempt + 1
  move(job, "DISPATCHED", worker, "")
  decide(job, decision)
  redis.call("HSET", key, "state", "DISPATCHED", "updated", now_us, "attempt", job.attempt, "worker", worker,
    "pool", pool, "leased", leased, "max_attempts", max_attempts, "slot", slot, "waiting", "",
    "refunds", job.refunds + tonumber(refund))
  if leased == "1" then redis.call("ZADD", job.prefix .. "leases", now_ms + tonumber(lease_ms), id)
  elseif from == "DISPATCHED" then redis.call("ZREM", job.prefix .. "leases", id) end
  set_deadline(job, tonumber(timeout_ms))
  return { 1, from, job.attempt, job.deadline and string.format("%.0f", job.deadline - now_ms) or "", now_us }
end
