--[[ Create jobs, PENDING. A job that exists already is left as it is and reported.
  The keys of a job's shard share its hash tag, so they are derived from its key: one slot by construction.
  KEYS[n] job hash
  ARGV[1] how long indexes keep an ended job, ms
  ARGV    per job: id, request, digest, tenant, topic, trace id, index the trace (0/1), priority, fingerprint,
          deadline from now (ms, 0 none), trim indexes (0/1)
  Returns per job {1, created (µs)}, or {2, fingerprint, state, trace id, result pointer} when it exists. ]]
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local keep_ms = tonumber(ARGV[1])
local replies = {}

for n, job in ipairs(KEYS) do
  local at = 1 + (n - 1) * 11
  local id, request, digest, tenant, topic = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local trace, index_trace, priority, fingerprint = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], ARGV[at + 9]
  local deadline_ms, trim = tonumber(ARGV[at + 10]), ARGV[at + 11]
  if redis.call("EXISTS", job) == 1 then
    local found = redis.call("HMGET", job, "fingerprint", "state", "trace", "result_ptr")
    replies[n] = { 2, found[1] or "", found[2], found[3] or "", found[4] or "" }
  else
    local prefix = string.sub(job, 1, string.find(job, ":", 1, true))
    local created = string.format("%.0f", now_us + n - 1) -- unique in this call, so that pages have a total order
    local deadline = deadline_ms > 0 and string.format("%.0f", now_ms + deadline_ms) or ""
    redis.call("HSET", job, "state", "PENDING", "request", request, "digest", digest, "tenant", tenant, "topic", topic,
      "trace", trace, "priority", priority, "fingerprint", fingerprint, "created", created, "updated", created,
      "attempt", 0, "refunds", 0, "deadline", deadline, "@" .. created, "PENDING|0||")
    redis.call("ZADD", prefix .. "idx:state:PENDING", created, id)
    local indexes = { prefix .. "idx:tenant:" .. tenant, prefix .. "idx:topic:" .. topic }
    if index_trace == "1" then indexes[3] = prefix .. "idx:trace:" .. trace end
    for _, index in ipairs(indexes) do
      redis.call("ZADD", index, created, id)
      if trim == "1" then
        redis.call("ZREMRANGEBYSCORE", index, "-inf", string.format("%.0f", now_us - keep_ms * 1000))
        redis.call("PEXPIRE", index, keep_ms * 2)
      end
    end
    if index_trace == "1" then redis.call("PEXPIRE", indexes[3], keep_ms * 2) end
    if deadline ~= "" then redis.call("ZADD", prefix .. "timers", deadline, id) end
    replies[n] = { 1, created }
  end
end
return replies
