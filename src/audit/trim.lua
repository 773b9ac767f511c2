--[[ Remove the oldest entries of one tenant's chain, and keep the hash before the oldest that stays.
  KEYS[1] head, see append.lua
  ARGV[1] first sequence now   ARGV[2] first sequence to keep   ARGV[3] hash before it
  ARGV[4] number of the first list   ARGV[5] number of the list that holds ARGV[2]
  ARGV[6] blocks of that list to remove   ARGV[7] what its next block becomes, or empty
  Returns 1, or 0 when the chain does not begin at ARGV[1] any more. ]]
local head = KEYS[1]
if redis.call("HGET", head, "first") ~= ARGV[1] then return 0 end
local function list(number) return string.sub(head, 1, -5) .. "log:" .. string.format("%.0f", number) end
for number = tonumber(ARGV[4]), tonumber(ARGV[5]) - 1 do redis.call("UNLINK", list(number)) end
if ARGV[6] ~= "0" then redis.call("LTRIM", list(ARGV[5]), ARGV[6], -1) end
if ARGV[7] ~= "" then redis.call("LSET", list(ARGV[5]), 0, ARGV[7]) end
redis.call("HSET", head, "first", ARGV[2], "anchor", ARGV[3])
return 1
