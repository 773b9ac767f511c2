--[[ Create jobs, PENDING. A job that exists already is left as it is and reported.
  The keys of a job's shard share its hash tag, so they are derived from its key: one slot by construction.
  KEYS[n] job hash
  ARGV[1] how long indexes keep an ended job, ms   ARGV[2] when the sweeper looks whether it was admitted, ms
  ARGV[3] how long payloads are kept, ms
  ARGV    per job: id, request, digest, tenant, topic, trace id (empty: the id), priority, fingerprint,
          deadline from now (ms, 0 none), payload key (empty: written elsewhere), payload,
          who submits it (may be empty), whether to tend the indexes recent, tenant and topic (0/1 each), and for a step of
          a run the states that it will try again, comma before and after each (empty: no step of a run)
  Returns per job {1, created (µs)}, {2, fingerprint, state, trace id, result pointer} when it exists, {-1, message} when
  it failed. ]]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local keep_ms, replay_ms, payload_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local function trim(key) redis.call("ZREMRANGEBYSCORE", key, "-inf", string.format("%.0f", now_us - keep_ms * 1000)) end

-- Adds to an index; now and then drops what is too old to be listed, and keeps the index itself alive.
local function index(key, score, id, tend)
  redis.call("ZADD", key, score, id)
  if tend ~= "1" then return end
  trim(key)
  redis.call("PEXPIRE", key, keep_ms * 2)
end

-- Most traces have few jobs and end soon: theirs are kept alive with each job, and trimmed with one in fifty.
local function index_trace(key, score, id)
  redis.call("ZADD", key, score, id)
  redis.call("PEXPIRE", key, keep_ms * 2)
  if tonumber(string.sub(score, -2)) < 2 then trim(key) end
end

local function create(n, job)
  local at = 3 + (n - 1) * 16
  local id, request, digest, tenant, topic = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local trace, priority, fingerprint = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local deadline_ms, payload_key = tonumber(ARGV[at + 9]), ARGV[at + 10]
  if redis.call("EXISTS", job) == 1 then
    local found = redis.call("HMGET", job, "fingerprint", "state", "trace", "result_ptr")
    return { 2, found[1] or "", found[2], found[3] or id, found[4] or "" }
  end
  local prefix = string.sub(job, 1, 6) -- "{jNN}:"
  local created = string.format("%.0f", now_us + n - 1) -- unique in this call, so that pages have a total order
  local due = now_ms + replay_ms
  local more = {}
  local function add(field, value)
    if value == "" then return end
    more[#more + 1] = field
    more[#more + 1] = value
  end
  add("trace", trace)
  add("submitter", ARGV[at + 12])
  add("run", ARGV[at + 16])
  add("fingerprint", fingerprint)
  if deadline_ms > 0 then
    add("deadline", string.format("%.0f", now_ms + deadline_ms))
    due = math.min(due, now_ms + deadline_ms)
  end
  redis.call("HSET", job, "state", "PENDING", "request", request, "digest", digest, "tenant", tenant, "topic", topic,
    "priority", priority, "created", created, "@" .. created, "PENDING|0||", unpack(more))
  redis.call("ZADD", prefix .. "timers", due, id)
  index(prefix .. "idx:recent", created, id, ARGV[at + 13])
  index(prefix .. "idx:tenant:" .. tenant, created, id, ARGV[at + 14])
  index(prefix .. "idx:topic:" .. topic, created, id, ARGV[at + 15])
  if trace ~= "" then index_trace(prefix .. "idx:trace:" .. trace, created, id) end
  if payload_key ~= "" then redis.call("SET", payload_key, ARGV[at + 11], "PX", payload_ms) end
  return { 1, created }
end

local replies = {}
for n, job in ipairs(KEYS) do
  -- What fails for one job must not stop the others half way.
  local isDone, reply = pcall(create, n, job)
  replies[n] = isDone and reply or { -1, type(reply) == "table" and reply.err or tostring(reply) }
end
return replies
