-- Changes the pending approval of a job: a vote, or other terms. Unless it stays PENDING it has ended, and the job is
-- PENDING again: the sweeper admits it should nobody else do so.
-- Args: round, revision, approval's state after it, reason, votes, terms, expires (ms since the epoch, or empty), decision,
--       whether it is a vote (0/1), who does it, when the sweeper looks at a PENDING job (ms)
local function review(key, id, round, revision, to, reason, votes, terms, expires, decision, is_vote, actor, replay_ms)
  local v = redis.call("HMGET", key, unpack(about))
  local refused = approval_refusal(key, id, v, round, revision)
  if refused then return refused end
  local entry = approval_key(key, id, round)
  local attempt = tonumber(v[2] or 0)
  local ends = tonumber(redis.call("HGET", entry, "expires") or "")
  if is_vote == "1" and ends and ends <= now_ms then return { 0, "expired", v[1], attempt } end
  local w = redis.call("HMGET", key, "deadline", "decided")
  local is_new = false
  if decision ~= "" then
    is_new = decide(key, id, decision, w[2])
    redis.call("HSET", entry, "decision", decision)
  end
  redis.call("HSET", entry, "votes", votes, "terms", terms, "expires", expires, "updated", now_us)
  if to == "PENDING" then
    redis.call("HINCRBY", entry, "revision", 1)
    if is_new then note(key, id, v[1], v[1], "approval_changed", v[3], v[4], v[5] or id, actor, decision) end
    local due = math.min(tonumber(expires) or math.huge, tonumber(w[1] or "") or math.huge)
    if due < math.huge then set_timer(key, id, text(due)) else redis.call("ZREM", prefix_of(key) .. "timers", id) end
  else
    end_approval(key, id, round, "PENDING", to, reason)
    local why = to == "APPROVED" and "approved" or "approval_superseded"
    redis.call("HSET", key, "state", "PENDING", "updated", now_us, "waiting", why, log_field,
      log_line("PENDING", attempt, "", why))
    note(key, id, v[1], "PENDING", why, v[3], v[4], v[5] or id, actor, decision)
    reindex(key, id, v[1], "PENDING")
    set_timer(key, id, due_in(replay_ms, w[1]))
  end
  return describe(v, id)
end
