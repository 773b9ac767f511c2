-- Approvals of a job: one hash for each round, listed by state. The job's field `approval` is its newest round.
local function approval_key(key, id, round) return prefix_of(key) .. "approval:" .. round .. "#" .. id end

local function list_approval(key, id, round, from, to)
  local member = round .. "#" .. id
  if from then redis.call("ZREM", prefix_of(key) .. "approvals:" .. from, member) end
  redis.call("ZADD", prefix_of(key) .. "approvals:" .. to, now_us, member)
end

local function end_approval(key, id, round, from, to, reason)
  local entry = approval_key(key, id, round)
  redis.call("HSET", entry, "state", to, "reason", reason, "updated", now_us)
  redis.call("HINCRBY", entry, "revision", 1)
  redis.call("EXPIRE", entry, 2592000) -- 30 days: as long as any record is kept
  list_approval(key, id, round, from, to)
end

-- The next round; an approval that has been given for less is superseded. `expires` is ms since the epoch, or empty.
local function open_approval(key, id, hash, decision, terms, expires, supersedes)
  if supersedes ~= "" then end_approval(key, id, supersedes, "APPROVED", "SUPERSEDED", "policy asks for more") end
  local round = redis.call("HINCRBY", key, "approval", 1)
  redis.call("HSET", approval_key(key, id, round), "state", "PENDING", "revision", 1, "job_hash", hash, "decision", decision,
    "terms", terms, "expires", expires, "created", now_us, "updated", now_us)
  list_approval(key, id, round, nil, "PENDING")
end

-- The newest round when it is approved and has not been used, else nil.
local function given_approval(key, id)
  local round = redis.call("HGET", key, "approval")
  if not round then return nil end
  local a = redis.call("HMGET", approval_key(key, id, round), "state", "used")
  if a[1] == "APPROVED" and not a[2] then return round end
end

-- Uses an approval up; false when it is not there to be used.
local function use_approval(key, id, round)
  if given_approval(key, id) ~= round then return false end
  redis.call("HSET", approval_key(key, id, round), "used", now_us)
  return true
end

-- The job has ended otherwise.
local function drop_approval(key, id, reason)
  local round = redis.call("HGET", key, "approval")
  if not round or redis.call("HGET", approval_key(key, id, round), "state") ~= "PENDING" then return end
  end_approval(key, id, round, "PENDING", "SUPERSEDED", reason)
end

-- Nil when the job waits for this round of approval as the caller has seen it, else the refusal.
local function approval_refusal(key, id, v, round, revision)
  local state, attempt = v[1], tonumber(v[2] or 0)
  local refused = refusal(state, attempt, ",APPROVAL_REQUIRED,", "", "PENDING")
  if refused then return refused end
  local a = redis.call("HMGET", approval_key(key, id, round), "state", "revision")
  local is_newest = redis.call("HGET", key, "approval") == round
  if not is_newest or a[1] ~= "PENDING" or a[2] ~= revision then return { 0, "revision", state, attempt } end
end
