-- A lock is one JSON text, in the form that older programs read, with `leases` and `updated_ms` added:
-- {mode, owners = {name: count}, updated_at (s), expires_at (s), updated_ms, leases = {name: {until_ms, fence, token, by}}}
local time = redis.call("TIME") -- Redis keeps the only clock that decides
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The lock as it stands now: without the owners whose time is up. Nil when nobody holds it.
local function load_lock(key)
  local text = redis.call("GET", key)
  if not text then return nil end
  local is_json, lock = pcall(cjson.decode, text)
  if not is_json or type(lock) ~= "table" or type(lock.owners) ~= "table" then return nil, "unreadable" end
  if type(lock.leases) ~= "table" then lock.leases = {} end
  local key_ends = now + math.max(redis.call("PTTL", key), 0)
  for owner, _ in pairs(lock.leases) do
    if not lock.owners[owner] then lock.leases[owner] = nil end
  end
  for owner, _ in pairs(lock.owners) do
    -- What an older program took ends with the key, and may be renewed by anybody who says the name.
    local lease = lock.leases[owner] or { until_ms = key_ends, fence = 0, token = "", by = "" }
    lock.leases[owner] = lease
    if lease.until_ms <= now then
      lock.owners[owner] = nil
      lock.leases[owner] = nil
    end
  end
  if not next(lock.owners) then return nil end
  return lock
end

-- Writes the lock, to end with its last owner; deletes it when there is none.
local function save_lock(key, lock)
  local last = 0
  for _, lease in pairs(lock.leases) do last = math.max(last, lease.until_ms) end
  if last <= now then
    redis.call("DEL", key)
    return nil
  end
  lock.updated_ms = now
  lock.updated_at = math.floor(now / 1000)
  lock.expires_at = math.ceil(last / 1000)
  redis.call("SET", key, cjson.encode(lock), "PX", last - now)
  return lock
end

-- Whether a lease is the caller's. Whoever shows a token means that one hold and no later one.
local function is_held(lease, by, token)
  return lease and (lease.by == "" or lease.by == by) and (token == "" or lease.token == token)
end

local function reply(outcome, lock) return { outcome, now, lock and cjson.encode(lock) or "" } end
