-- Writes one version of a run: what create-run.lua and commit-run.lua share.
-- From ARGV[at] on: version, status, header, row for `forget` (empty: the run goes on), then lists, each with its length
-- in front: pairs of owed effects; settled effects; pairs for the run's hash, and for its context; step and items (a list
-- within); pairs of timer and due time (empty: it is removed).
local expires, owed_due = text(now_ms + ARGV[1]), text(now_ms + ARGV[2])
local now_text = text(now_ms)
local at -- the argument to read next
local chunk = 1000 -- `unpack` takes no more than some thousands

local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- Where the next list is: its first and last argument.
local function take_list(arguments_each)
  local first = at + 1
  at = first + tonumber(ARGV[at]) * arguments_each
  return first, at - 1
end

-- Hands arguments to one command, in parts.
local function send(command, key, first, last)
  for from = first, last, chunk do redis.call(command, key, unpack(ARGV, from, math.min(from + chunk - 1, last))) end
end

-- The run's hash: its core, and as many of the pairs that follow as one command takes; then the others. `owed` and `created`
-- are nil when they are as they were.
local function put_run(key, version, to, header, owed, created)
  local first, last = take_list(2)
  local stop = math.min(first + chunk - 1, last)
  if created then
    redis.call("HSET", key, "v", version, "h", header, "s", to, "owed", owed, "c", created, unpack(ARGV, first, stop))
  elseif owed then
    redis.call("HSET", key, "v", version, "h", header, "s", to, "owed", owed, unpack(ARGV, first, stop))
  else
    redis.call("HSET", key, "v", version, "h", header, "s", to, unpack(ARGV, first, stop))
  end
  send("HSET", key, stop + 1, last)
end

-- Notes that the run has a further key.
local function add_part(key, run, part)
  if string.find("|" .. run.parts, "|" .. part .. "|", 1, true) then return end
  run.parts = run.parts .. part .. "|"
  redis.call("HSET", key, "parts", run.parts)
end

local function put_items(key, run)
  for _ = 1, tonumber(take()) do
    local part = "items:" .. take()
    local first, last = take_list(1)
    if last >= first then
      add_part(key, run, part)
      send("RPUSH", key .. "|" .. part, first, last)
    end
  end
end

-- The field `owed` with what is new and without what is settled.
local function owed_text(owed, first, last, settled_first, settled_last)
  if is_in_hash(owed) then return owed end
  local rest = without(owed, settled_first, settled_last)
  local lines, size = { rest }, #rest
  for n = first, last, 2 do size = size + #ARGV[n] + #now_text + #ARGV[n + 1] + 3 end
  if size > most_owed_inline then return owed_in_hash end
  for n = first, last, 2 do lines[#lines + 1] = owed_line(ARGV[n], now_text .. "|" .. ARGV[n + 1]) end
  return table.concat(lines)
end

-- Moves what was owed so far to the hash.
local function owe_in_hash(hash, owed)
  for id, entry in string.gmatch(owed, "\n([^\t]*)\t([^\n]*)") do redis.call("HSET", hash, id, entry) end -- some dozens
end

local function add_to_hash(hash, first, last)
  local fields = {}
  for n = first, last, 2 do
    fields[#fields + 1] = ARGV[n]
    fields[#fields + 1] = now_text .. "|" .. ARGV[n + 1]
    if #fields >= chunk or n + 1 == last then
      redis.call("HSET", hash, unpack(fields))
      fields = {}
    end
  end
end

local function write_timers(prefix)
  local first, last = take_list(2)
  for n = first, last, 2 do
    if ARGV[n + 1] == "" then redis.call("ZREM", prefix .. "timers", ARGV[n])
    else redis.call("ZADD", prefix .. "timers", ARGV[n + 1], ARGV[n]) end
  end
end

local function expire(key, parts, at_ms, ...)
  redis.call("PEXPIREAT", key, at_ms)
  for _, part in ipairs(keys_of(key, parts)) do redis.call("PEXPIREAT", part, at_ms, ...) end
end

-- Runs that nobody nested are listed by status, with which goes whether they have ended; of the others only that is.
local function list_status(prefix, id, root, from, to, created)
  if root == "" then
    if from then redis.call("ZREM", prefix .. "idx:status:" .. from, id) end
    redis.call("ZADD", prefix .. "idx:status:" .. to, created, id)
  elseif not from and not ended[to] then
    redis.call("ZADD", prefix .. "idx:active", created, id)
  elseif from and ended[to] then
    redis.call("ZREM", prefix .. "idx:active", id)
  end
end

-- `run`: the fields of the hash before, those that a new run does not have empty. A new run has no status before.
local function write(key, id, run, is_new, root, workflow, workflow_version)
  local prefix, hash = prefix_of(key), key .. "|owed"
  local version, to, header, row = take(), take(), take(), take()
  local first, last = take_list(2)
  local settled_first, settled_last = take_list(1)

  local before = run.owed
  local owed = owed_text(before, first, last, settled_first, settled_last)
  -- A full memory refuses this command, the first that writes, or none of those that follow.
  put_run(key, version, to, header, (is_new or owed ~= before) and owed or nil, is_new and run.created)
  if is_in_hash(owed) then
    -- What is new comes first: a hash that becomes empty in between would be made anew.
    if not is_in_hash(before) then owe_in_hash(hash, before) end
    add_to_hash(hash, first, last)
    add_part(key, run, "owed")
    if settle_in_hash(hash, settled_first, settled_last) then
      owed = ""
      redis.call("HDEL", key, "owed")
    end
  end
  if owed == "" then
    if before ~= "" then redis.call("ZREM", prefix .. "outbox", id) end
  elseif last > first then redis.call("ZADD", prefix .. "outbox", "NX", owed_due, id) end

  local ctx_first, ctx_last = take_list(2)
  if ctx_last > ctx_first then
    add_part(key, run, "ctx")
    send("HSET", key .. "|ctx", ctx_first, ctx_last)
  end
  put_items(key, run)
  write_timers(prefix)

  local from = run.status
  if from ~= to then list_status(prefix, id, root, from, to, run.created) end
  if row == "" then return end
  if ended[from] then
    local expiry = redis.call("PEXPIRETIME", key)
    if expiry > 0 then expire(key, run.parts, text(expiry), "NX") end -- parts that are new, or had become empty
    return
  end
  local uses = prefix .. "uses:" .. workflow
  if redis.call("HINCRBY", uses, workflow_version, -1) <= 0 then redis.call("HDEL", uses, workflow_version) end
  redis.call("ZADD", prefix .. "ended", expires, row)
  expire(key, run.parts, expires)
end
