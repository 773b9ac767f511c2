-- Keeps the job from being dispatched: APPROVAL_REQUIRED, or PENDING again for a throttled one.
-- Args: expected, digest, to, decision, hash, reason, when the sweeper looks at a PENDING one (ms)
local function hold(key, id, expected, digest, to, decision, hash, reason, replay_ms)
  local job, problem = read(key, id, expected, "")
  if not job then return problem end
  if digest ~= "" and digest ~= job.digest then return { 0, "digest", job.state, job.attempt } end
  if not transitions[job.state][to] then return refused(job, to) end
  local list, add = changes(job)
  add("waiting", reason, job.waiting)
  add("job_hash", hash, "")
  decide(job, decision, add)
  if job.state == to and job.waiting == reason then -- throttled once more: no line in the log
    redis.call("HSET", key, "updated", now_us, unpack(list))
  else
    move(job, to, "", reason, list)
  end
  if to == "PENDING" then set_timer(job, due_in(job, tonumber(replay_ms)))
  elseif job.deadline then set_timer(job, job.deadline)
  else redis.call("ZREM", job.prefix .. "timers", id) end
  return describe(job)
end
