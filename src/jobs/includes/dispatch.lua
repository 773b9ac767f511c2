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
  local lease = leased == "1" and now_ms + tonumber(lease_ms) or nil
  local list, add = changes(job)
  add("attempt", job.attempt)
  add("worker", worker, job.worker)
  add("pool", pool, job.pool)
  add("max_attempts", max_attempts, job.max_attempts and tostring(job.max_attempts))
  add("ends", text(ends))
  add("slot", slot, job.slot)
  add("waiting", "", job.waiting)
  if lease then add("lease", text(lease)) elseif job.attempt > 1 then add("lease", "") end
  if refund == "1" then add("refunds", job.refunds + 1) end
  decide(job, decision, add)
  move(job, "DISPATCHED", worker, "", list)
  set_timer(job, lease and lease < ends and lease or ends)
  return { 1, job.state, job.attempt, job.deadline and text(job.deadline - now_ms) or "", now_us }
end
