--[[ Give up what one acquire took. The time of the other owners, and of what is left of this one's, stays.
  KEYS[1] lock
  ARGV[1] owner    ARGV[2] by whom: the credential    ARGV[3] token, empty for any
  Returns {"released", now ms, lock or ""}, or {"not-held" | "unreadable", now ms, lock or ""}. ]]
-- @include lock
local lock, problem = load_lock(KEYS[1])
if problem then return reply(problem) end
if not lock or not is_held(lock.leases[ARGV[1]], ARGV[2], ARGV[3]) then return reply("not-held", lock) end
local count = lock.owners[ARGV[1]] - 1
if count > 0 then
  lock.owners[ARGV[1]] = count
else
  lock.owners[ARGV[1]] = nil
  lock.leases[ARGV[1]] = nil
end
return reply("released", save_lock(KEYS[1], lock))
