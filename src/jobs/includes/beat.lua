-- A sign of life of the job's worker: RUNNING, and the lease extended (0 leaves the lease alone).
-- Args: attempt, worker, lease ms, for how long nothing ends the job because its result waits (ms, 0 leaves its end alone)
local function beat(key, id, expected_attempt, worker, lease_ms, hold_ms)
  local v = redis.call("HMGET", key, unpack(about))
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, ",DISPATCHED,RUNNING,", expected_attempt, "RUNNING")
  if refused then return refused end
  if worker ~= "" and v[6] and v[6] ~= "" and worker ~= v[6] then return { 0, "worker", state, attempt } end
  -- A job that was given to a queue group: nobody holds a lease.
  if lease_ms ~= "0" and (v[6] or "") == "" then return { 0, "worker", state, attempt } end
  if hold_ms ~= "0" then
    local ends = math.max(tonumber(redis.call("HGET", key, "ends")), now_ms + hold_ms)
    redis.call("HSET", key, "ends", text(ends))
    if lease_ms == "0" then set_timer(key, id, ends) end
  end
  if lease_ms ~= "0" then
    local lease = now_ms + lease_ms
    redis.call("HSET", key, "lease", text(lease))
    set_timer(key, id, math.min(lease, tonumber(redis.call("HGET", key, "ends"))))
  end
  if state == "DISPATCHED" then
    local line = log_line("RUNNING", attempt, v[6] or "", "")
    redis.call("HSET", key, "state", "RUNNING", "updated", now_us, log_field, line)
  end
  return describe(v, id)
end
