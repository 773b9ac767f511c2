-- Writes one version of a run: what create-run.lua and commit-run.lua share.
-- From ARGV[at] on: version, status, header, row for `forget` (empty: the run goes on), then lists, each with its length
-- in front: pairs for the run's hash, steps, outputs, payloads, context; step and items (a list within); timeline;
-- settled effects; pairs of owed effects; pairs of timer and due time (empty: it is removed).
local keep_ms, owed_after_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local at -- the argument to read next
local chunk = 1000 -- `unpack` takes no more than some thousands

local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- Hands a list of `count` arguments to one command, in parts.
local function send(command, key, count)
  local stop = at + count
  while at < stop do
    local last = math.min(at + chunk, stop) - 1
    redis.call(command, key, unpack(ARGV, at, last))
    at = last + 1
  end
end

local function put_pairs(key)
  local count = tonumber(take())
  if count > 0 then send("HSET", key, count * 2) end
end

local function append(key)
  local count = tonumber(take())
  if count > 0 then send("RPUSH", key, count) end
end

local function write_effects(prefix, key, id)
  local owed, settled = key .. "|owed", tonumber(take())
  if settled > 0 then send("HDEL", owed, settled) end
  local added = tonumber(take())
  local pairs_of = {}
  for n = 1, added do
    pairs_of[#pairs_of + 1] = take()
    pairs_of[#pairs_of + 1] = now_ms .. "|" .. take()
    if #pairs_of >= chunk or n == added then
      redis.call("HSET", owed, unpack(pairs_of))
      pairs_of = {}
    end
  end
  if added > 0 then redis.call("ZADD", prefix .. "outbox", "NX", now_ms + owed_after_ms, id)
  elseif settled > 0 and redis.call("EXISTS", owed) == 0 then redis.call("ZREM", prefix .. "outbox", id) end
end

local function write_timers(prefix)
  for _ = 1, tonumber(take()) do
    local member, due = take(), take()
    if due == "" then redis.call("ZREM", prefix .. "timers", member)
    else redis.call("ZADD", prefix .. "timers", due, member) end
  end
end

local function expire(key, at_ms, ...)
  redis.call("PEXPIREAT", key, at_ms)
  for _, part in ipairs(parts) do redis.call("PEXPIREAT", key .. part, at_ms, ...) end
  for _, items in ipairs(item_keys(key)) do redis.call("PEXPIREAT", items, at_ms, ...) end
end

-- `from` is the status before, nil for a new run.
local function write(key, id, from, created, root, workflow, workflow_version)
  local prefix = prefix_of(key)
  local version, to, header, row = take(), take(), take(), take()
  -- A full memory refuses this command, the first that writes, or none of those that follow.
  redis.call("HSET", key, "v", version, "s", to, "h", header, "c", created)
  put_pairs(key)
  put_pairs(key .. "|steps")
  put_pairs(key .. "|out")
  put_pairs(key .. "|in")
  put_pairs(key .. "|ctx")
  for _ = 1, tonumber(take()) do
    local step = take()
    redis.call("HSET", key, "items:" .. step, "1")
    append(key .. "|items:" .. step)
  end
  append(key .. "|timeline")
  write_effects(prefix, key, id)
  write_timers(prefix)

  if from ~= to and root == "" then
    if from then redis.call("ZREM", prefix .. "idx:status:" .. from, id) end
    redis.call("ZADD", prefix .. "idx:status:" .. to, created, id)
  end
  if row == "" then return end
  if from and ended[from] then
    local expiry = redis.call("PEXPIRETIME", key)
    if expiry > 0 then expire(key, expiry, "NX") end -- parts that are new, or had become empty
    return
  end
  local uses = prefix .. "uses:" .. workflow
  if redis.call("HINCRBY", uses, workflow_version, -1) <= 0 then redis.call("HDEL", uses, workflow_version) end
  redis.call("ZREM", prefix .. "idx:active", id)
  redis.call("ZADD", prefix .. "ended", now_ms + keep_ms, row)
  expire(key, now_ms + keep_ms)
end
