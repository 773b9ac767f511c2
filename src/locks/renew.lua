--[[ Hold a lock for longer, counted from now.
  KEYS[1] lock    KEYS[2] fence  string
  ARGV[1] owner   ARGV[2] by whom: the credential   ARGV[3] token, empty for any   ARGV[4] for how long, ms
  ARGV[5] how long the fencing token outlives the hold, ms
  Returns {"renewed", now ms, lock}, or {"not-held" | "unreadable", now ms, lock or ""}. ]]
-- @include lock
local lock, problem = load_lock(KEYS[1])
if problem then return reply(problem) end
local own = lock and lock.leases[ARGV[1]]
if not is_held(own, ARGV[2], ARGV[3]) then return reply("not-held", lock) end
own.until_ms = now + tonumber(ARGV[4])
redis.call("PEXPIRE", KEYS[2], tonumber(ARGV[4]) + tonumber(ARGV[5]))
return reply("renewed", save_lock(KEYS[1], lock))
