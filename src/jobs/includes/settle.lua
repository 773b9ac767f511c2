-- Ends the pending approval of a job and, with it, the job.
-- Args: round, revision, approval's state after it, reason, votes; then those of `finish`
local function settle(key, id, round, revision, to, reason, votes, ...)
  local v = redis.call("HMGET", key, "state", "attempt")
  local refused = approval_refusal(key, id, v, round, revision)
  if refused then return refused end
  redis.call("HSET", approval_key(key, id, round), "votes", votes)
  end_approval(key, id, round, "PENDING", to, reason)
  return finish(key, id, ...)
end
