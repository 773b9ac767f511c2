-- Keeps the job from being dispatched: APPROVAL_REQUIRED, or PENDING again for a throttled one.
-- Args: expected, digest, to, decision, hash, reason, when the sweeper looks at a PENDING one (ms)
local function hold(key, id, expected, digest, to, decision, hash, reason, replay_ms)
  local v = redis.call("HMGET", key, unpack(about))
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, expected, "", to)
  if refused then return refused end
  local w = redis.call("HMGET", key, "digest", "waiting", "deadline", "decided")
  if digest ~= "" and digest ~= w[1] then return { 0, "digest", state, attempt } end
  decide(key, id, decision, w[4])
  redis.call("HSET", key, "state", to, "updated", now_us, "waiting", reason)
  if hash ~= "" then redis.call("HSET", key, "job_hash", hash) end
  if state ~= to or w[2] ~= reason then -- else throttled once more: no line in the log
    redis.call("HSET", key, log_field, log_line(to, attempt, "", reason))
  end
  reindex(key, id, state, to)
  if to == "PENDING" then set_timer(key, id, due_in(replay_ms, w[3]))
  elseif w[3] then set_timer(key, id, w[3])
  else redis.call("ZREM", prefix_of(key) .. "timers", id) end
  return describe(v, id)
end
