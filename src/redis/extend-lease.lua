--[[ Take, keep or free a lease. Comparing the owner and writing are one step.
  KEYS[1] lease   string: the owner's token, expires with the lease
  ARGV[1] token   ARGV[2] length, ms; 0 frees
  Returns 1 when the caller holds it (or freed it), 0 when another owner does. ]]
local owner = redis.call("GET", KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == "0" then redis.call("DEL", KEYS[1]) else redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2]) end
return 1
