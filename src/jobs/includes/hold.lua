-- Keeps the job from being dispatched: APPROVAL_REQUIRED, or PENDING again for a throttled one.
-- Args: expected, digest, to, decision, hash, reason
local function hold(key, id, expected, digest, to, decision, hash, reason)
  local job, problem = read(key, id, expected, "")
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state][to] then return refused(job, to) end
  decide(job, decision)
  if job.state == to and job.waiting == reason then -- throttled once more: no line in the log
    redis.call("HSET", key, "updated", now_us)
    redis.call("ZADD", job.prefix .. "idx:state:" .. to, now_us, id)
  elseif hash ~= "" then
    move(job, to, "", reason, "waiting", reason, "job_hash", hash)
  else
    move(job, to, "", reason, "waiting", reason)
  end
  return describe(job)
end
