--[[ A lock as it stands now.
  KEYS[1] lock
  Returns {"found", now ms, lock}, {"free"} or {"unreadable"}. ]]
-- @include lock
local lock, problem = load_lock(KEYS[1])
return reply(lock and "found" or problem or "free", lock)
