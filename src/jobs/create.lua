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
  local found = redis.call("HMGET", job, "fingerprint", "state", "trace", "result_ptr")
  if found[2] then
    replies[n] = { 2, found[1] or "", found[2], found[3] or "", found[4] or "" }
  else
    local prefix = string.sub(job, 1, string.find(job, ":", 1, true))
    local created = string.format("%.0f", now_us + n - 1) -- unique in this call, so that pages have a total order
    redis.call("HSET", job, "state", "PENDING", "request", request, "digest", digest, "tenant", tenant, "topic", topic,
      "trace", trace, "priority", priority, "fingerprint", fingerprint, "created", created, "updated", created,
      "attempt", 0, "refunds", 0)
    redis.call("RPUSH", job .. ":events", created .. "|PENDING|0||")
    redis.call("ZADD", prefix .. "idx:state:PENDING", created, id)
    local indexes = { prefix .. "idx:recent", prefix .. "idx:tenant:" .. tenant, prefix .. "idx:topic:" .. topic }
    if index_trace == "1" then indexes[4] = prefix .. "idx:trace:" .. trace end
    for _, index in ipairs(indexes) do
      redis.call("ZADD", index, created, id)
      if trim == "1" then
        redis.call("ZREMRANGEBYSCORE", index, "-inf", string.format("%.0f", now_us - keep_ms * 1000))
        redis.call("PEXPIRE", index, keep_ms * 2)
      end
    end
    if index_trace == "1" then redis.call("PEXPIRE", indexes[4], keep_ms * 2) end
    if deadline_ms > 0 then
      redis.call("HSET", job, "deadline", string.format("%.0f", now_ms + deadline_ms))
      redis.call("ZADD", prefix .. "deadlines", now_ms + deadline_ms, id)
    end
    replies[n] = { 1, created }
  end
end
return replies
