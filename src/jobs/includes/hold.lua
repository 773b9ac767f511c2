-- Keeps the job from being dispatched: APPROVAL_REQUIRED, or PENDING again for a throttled one.
-- One whose approval has been given is not held again, unless that approval is named as not enough.
-- Args: expected, digest, to, decision, hash, reason, when the sweeper looks at a PENDING one (ms),
--       principal, terms of the approval, when it expires (ms from now, 0 never), round of the approval that is not enough
local function hold(key, id, expected, digest, to, decision, hash, reason, replay_ms, actor, terms, expires_ms, supersedes)
  local v = redis.call("HMGET", key, unpack(about))
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, expected, "", to)
  if refused then return refused end
  local w = redis.call("HMGET", key, "digest", "waiting", "deadline", "decided")
  if digest ~= "" and digest ~= w[1] then return { 0, "digest", state, attempt } end
  local due = tonumber(w[3] or "") or math.huge
  if to == "APPROVAL_REQUIRED" then
    local given = given_approval(key, id)
    if given and given ~= supersedes then return { 0, "approved", state, attempt } end
    local expires = expires_ms == "0" and "" or text(now_ms + expires_ms)
    due = math.min(due, tonumber(expires) or math.huge)
    open_approval(key, id, hash, decision, terms, expires, given or "")
  end
  if decide(key, id, decision, w[4]) or state ~= to then -- else throttled once more, for the same reason
    note(key, id, state, to, reason, v[3], v[4], v[5] or id, actor, decision)
  end
  redis.call("HSET", key, "state", to, "updated", now_us, "waiting", reason)
  if hash ~= "" then redis.call("HSET", key, "job_hash", hash) end
  if state ~= to or w[2] ~= reason then -- else throttled once more: no line in the log
    redis.call("HSET", key, log_field, log_line(to, attempt, "", reason))
  end
  reindex(key, id, state, to)
  if to == "PENDING" then set_timer(key, id, due_in(replay_ms, w[3]))
  elseif due < math.huge then set_timer(key, id, text(due))
  else redis.call("ZREM", prefix_of(key) .. "timers", id) end
  return describe(v, id)
end
