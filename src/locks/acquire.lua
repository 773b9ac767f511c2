--[[ Take a lock for an owner, or once more.
  KEYS[1] lock    KEYS[2] fence  string: the last fencing token of this resource
  ARGV[1] owner   ARGV[2] "shared" or "exclusive"   ARGV[3] for how long, ms
  ARGV[4] by whom: the credential    ARGV[5] token of a new hold
  ARGV[6] owners at most             ARGV[7] how long the fencing token outlives the hold, ms
  Returns {"acquired", now ms, lock}, or {"held" | "taken" | "full" | "unreadable", now ms, lock}:
  held by others, by this name with another credential, or by too many. ]]
-- @include lock
local owner, mode, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lock, problem = load_lock(KEYS[1])
if problem then return reply(problem) end

local others = 0
for name, _ in pairs(lock and lock.owners or {}) do
  if name ~= owner then others = others + 1 end
end
local own = lock and lock.leases[owner]
if own and not is_held(own, ARGV[4], "") then return reply("taken", lock) end
if others > 0 and (lock.mode ~= "shared" or mode ~= "shared") then return reply("held", lock) end
if others >= tonumber(ARGV[6]) then return reply("full", lock) end

lock = lock or { mode = mode, owners = {}, leases = {} }
local is_upgrade = own and lock.mode == "shared" and mode ~= "shared"
if is_upgrade then lock.mode = "exclusive" end
if not own then own = { token = ARGV[5] } end
own.by = ARGV[4]
if own.token == "" then own.token = ARGV[5] end
if is_upgrade or not own.fence or own.fence == 0 then
  -- Larger than every earlier one: those that were forgotten are older than the clock.
  own.fence = math.max(tonumber(redis.call("GET", KEYS[2]) or "0") + 1, now)
  redis.call("SET", KEYS[2], string.format("%.0f", own.fence))
end
redis.call("PEXPIRE", KEYS[2], ttl + tonumber(ARGV[7]))
own.until_ms = now + ttl
lock.owners[owner] = (lock.owners[owner] or 0) + 1
lock.leases[owner] = own
return reply("acquired", save_lock(KEYS[1], lock))
