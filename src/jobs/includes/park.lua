-- Puts the job back to wait for a worker; when its attempts are used up it ends FAILED instead (reply begins with 2).
-- Args: expected, attempt, digest, pools, waiting reason, longest wait ms, decision, refund, burn (0/1), keep ms
local function park(key, id, expected, attempt, digest, pools, waiting, wait_ms, decision, refund, burn, keep_ms)
  local job, problem = read(key, id, expected, attempt)
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state]["SCHEDULED"] then return refused(job, "SCHEDULED") end
  job.refunds = job.refunds + tonumber(refund)
  if burn == "1" and job.max_attempts and job.attempt - job.refunds >= job.max_attempts then
    local message = "gave up after " .. (job.attempt - job.refunds) .. " attempts, the last on worker " .. job.worker
    local reply = finish(key, id, "", "", "", "FAILED", "", "max_retries_exceeded", message, "0", "", "", "", "1", keep_ms)
    reply[1] = 2
    return reply
  end
  local reply = describe(job)
  local since = now_ms
  if job.state == "SCHEDULED" or refund == "1" then -- it has waited before, and waits on
    since = tonumber(redis.call("HGET", key, "waiting_since") or now_ms)
  end
  local list, add = changes(job)
  add("waiting", waiting, job.waiting)
  add("pools", pools)
  add("waiting_since", text(since))
  add("worker", "", job.worker)
  add("slot", "", job.slot)
  if refund == "1" then add("refunds", job.refunds) end
  decide(job, decision, add)
  if job.state == "SCHEDULED" and job.waiting == waiting then -- nothing new: no line in the log
    redis.call("HSET", key, "updated", now_us, unpack(list))
  else
    move(job, "SCHEDULED", "", waiting, list)
  end
  set_timer(job, due_in(job, math.max(since + tonumber(wait_ms) - now_ms, 1)))
  return reply
end
