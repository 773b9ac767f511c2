--[[ Forget notes of one shard that are in the audit log. The position tells a late caller from a current one.
  KEYS[1] any key of the shard; the others share its hash tag and are derived from it
  ARGV[1] position of the first   ARGV[2] how many
  Returns 1, or 0 when somebody else has dropped them already. ]]
local prefix = string.sub(KEYS[1], 1, 6) -- "{jNN}:"
if (redis.call("GET", prefix .. "audited") or "0") ~= ARGV[1] then return 0 end
redis.call("LTRIM", prefix .. "audit", ARGV[2], -1) -- LPOP would give them back, at a cost for each
redis.call("SET", prefix .. "audited", string.format("%.0f", ARGV[1] + ARGV[2]))
return 1
