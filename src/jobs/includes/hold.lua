-- Keeps the job from being dispatched: APPROVAL_REQUIRED, or PENDING again for a throttled one.
-- Args: expected, digest, to, decision, hash, reason
local function hold(key, id, expected, digest, to, decision, hash, reason)
  local job, problem = read(key, id, expected, "")
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state][to] then return refused(job, to) end
  move(job, to, "", reason)
  decide(job, decision)
  redis.call("HSET", key, "state", to, "updated", now_us, "waiting", reason)
  if hash ~= "" then redis.call("HSET", key, "job_hash", hash) end
  return describe(job)
end
