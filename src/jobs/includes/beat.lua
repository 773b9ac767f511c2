-- A sign of life of the job's worker: RUNNING, and the lease extended (0 leaves the lease alone).
-- Args: attempt, worker, lease ms
local function beat(key, id, attempt, worker, lease_ms)
  local job, problem = read(key, id, ",DISPATCHED,RUNNING,", attempt)
  if not job then return problem end
  if worker ~= "" and job.worker ~= "" and worker ~= job.worker then return { 0, "worker", job.state, job.attempt } end
  if lease_ms ~= "0" then redis.call("ZADD", job.prefix .. "leases", "XX", now_ms + tonumber(lease_ms), id) end
  local reply = describe(job)
  if job.state == "DISPATCHED" then
    move(job, "RUNNING", job.worker, "")
    redis.call("HSET", key, "state", "RUNNING", "updated", now_us)
  end
  return reply
end
