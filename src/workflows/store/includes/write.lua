-- Writes one version of a run: what create-run.lua and commit-run.lua share.
-- From ARGV[at] on: version, status, header, row for `forget` (empty: the run goes on), then lists, each with its length
-- in front: pairs for the run's hash, and for its context; step and items (a list within); timeline; pairs of owed
-- effects; settled effects; pairs of timer and due time (empty: it is removed).
local expires, owed_due = text(now_ms + ARGV[1]), text(now_ms + ARGV[2])
local now_text = text(now_ms)
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

local function append(key)
  local count = tonumber(take())
  if count > 0 then send("RPUSH", key, count) end
end

-- The run's hash: what is new of its core, and as many of the pairs that follow as one command takes; then the others.
local function put_run(key, version, from, to, header, created)
  local count = tonumber(take()) * 2
  local stop = at + count
  local last = math.min(at + chunk, stop) - 1
  if from == to then redis.call("HSET", key, "v", version, "h", header, unpack(ARGV, at, last))
  elseif from then redis.call("HSET", key, "v", version, "h", header, "s", to, unpack(ARGV, at, last))
  else redis.call("HSET", key, "v", version, "h", header, "s", to, "c", created, unpack(ARGV, at, last)) end
  at = last + 1
  if at < stop then send("HSET", key, stop - at) end
end

local function put_items(key)
  for _ = 1, tonumber(take()) do
    local listed = redis.call("HGET", key, "items") or ""
    local step = take() .. "|"
    if not string.find("|" .. listed, "|" .. step, 1, true) then redis.call("HSET", key, "items", listed .. step) end
    append(key .. "|items:" .. string.sub(step, 1, -2))
  end
end

-- What is new comes first: a hash that becomes empty in between would be made anew.
local function write_effects(prefix, key, id)
  local owed, added = key .. "|owed", tonumber(take())
  local pairs_of = {}
  for n = 1, added do
    pairs_of[#pairs_of + 1] = take()
    pairs_of[#pairs_of + 1] = now_text .. "|" .. take()
    if #pairs_of >= chunk or n == added then
      redis.call("HSET", owed, unpack(pairs_of))
      pairs_of = {}
    end
  end
  local settled = tonumber(take())
  if settled > 0 then send("HDEL", owed, settled) end
  if added > 0 then redis.call("ZADD", prefix .. "outbox", "NX", owed_due, id)
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
  local listed = redis.call("HGET", key, "items")
  redis.call("PEXPIREAT", key, at_ms)
  for _, part in ipairs(parts) do redis.call("PEXPIREAT", key .. part, at_ms, ...) end
  for _, items in ipairs(item_keys(key, listed)) do redis.call("PEXPIREAT", items, at_ms, ...) end
end

-- `from` and `created` are the status before and nil, or nil and the time of creation for a new run.
local function write(key, id, from, created, root, workflow, workflow_version)
  local prefix = prefix_of(key)
  local version, to, header, row = take(), take(), take(), take()
  -- A full memory refuses this command, the first that writes, or none of those that follow.
  put_run(key, version, from, to, header, created)
  local ctx = tonumber(take())
  if ctx > 0 then send("HSET", key .. "|ctx", ctx * 2) end
  put_items(key)
  append(key .. "|timeline")
  write_effects(prefix, key, id)
  write_timers(prefix)

  if from ~= to and root == "" then
    if from then redis.call("ZREM", prefix .. "idx:status:" .. from, id) end
    redis.call("ZADD", prefix .. "idx:status:" .. to, created or redis.call("HGET", key, "c"), id)
  end
  if row == "" then return end
  if from and ended[from] then
    local expiry = redis.call("PEXPIRETIME", key)
    if expiry > 0 then expire(key, text(expiry), "NX") end -- parts that are new, or had become empty
    return
  end
  local uses = prefix .. "uses:" .. workflow
  if redis.call("HINCRBY", uses, workflow_version, -1) <= 0 then redis.call("HDEL", uses, workflow_version) end
  redis.call("ZREM", prefix .. "idx:active", id)
  redis.call("ZADD", prefix .. "ended", expires, row)
  expire(key, expires)
end
