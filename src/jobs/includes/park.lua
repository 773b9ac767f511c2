-- Puts the job back to wait for a worker; when its attempts are used up it ends FAILED instead (reply begins with 2).
-- Args: expected, attempt, digest, pools, waiting reason, longest wait ms, decision, refund, burn (0/1), keep ms,
--       principal (with a decision), approval to use up (may be empty)
local function park(key, id, expected, expected_attempt, digest, pools, waiting, wait_ms, decision, refund, burn, keep_ms,
                    actor, approval)
  local v = redis.call("HMGET", key, unpack(about))
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, expected, expected_attempt, "SCHEDULED")
  if refused then return refused end
  local w = redis.call("HMGET", key, "digest", "refunds", "max_attempts", "waiting", "waiting_since", "deadline", "decided")
  if digest ~= "" and digest ~= w[1] then return { 0, "digest", state, attempt } end
  if approval ~= "" and not use_approval(key, id, approval) then return { 0, "approval", state, attempt } end
  local refunds = tonumber(w[2] or 0) + tonumber(refund)
  if burn == "1" and w[3] and attempt - refunds >= tonumber(w[3]) then
    local message = "gave up after " .. (attempt - refunds) .. " attempts, the last on worker " .. (v[6] or "")
    local reply = finish(key, id, "", "", "", "", "FAILED", "", "max_retries_exceeded", message, "0", "", "", "", "1", keep_ms)
    reply[1] = 2
    return reply
  end
  if decide(key, id, decision, w[7]) or (decision ~= "" and state ~= "SCHEDULED") then
    note(key, id, state, "SCHEDULED", waiting, v[3], v[4], v[5] or id, actor, decision)
  end
  -- A job that waits already, or whose worker had no room, waits on.
  local since = (state == "SCHEDULED" or refund == "1") and tonumber(w[5] or "") or now_ms
  redis.call("HSET", key, "state", "SCHEDULED", "updated", now_us, "waiting", waiting, "waiting_since", text(since),
    "pools", pools, "refunds", refunds, "worker", "", "slot", "")
  if state ~= "SCHEDULED" or w[4] ~= waiting then -- else nothing new: no line in the log
    redis.call("HSET", key, log_field, log_line("SCHEDULED", attempt, "", waiting))
  end
  reindex(key, id, state, "SCHEDULED")
  set_timer(key, id, due_in(math.max(since + wait_ms - now_ms, 1), w[6]))
  return describe(v, id)
end
