--[[ Put entries at the end of one tenant's chain, if it ends where the caller believes.
  KEYS[1] head   hash: sequence, hash, recorded (µs), first, anchor, and `from:<source>` -> how far a source was read
  ARGV[1] sequence and ARGV[2] hash that the chain must end with
  ARGV[3] new sequence   ARGV[4] new hash   ARGV[5] new time, µs
  ARGV[6] source of the entries, or empty   ARGV[7] how far it was read now   ARGV[8] number of the first block's list
  ARGV[9...] blocks of entries; each after the first begins a list
  The lists are beside the head: they share its hash tag.
  Returns 1, or the head as a list of fields and values when it is elsewhere. ]]
local head = KEYS[1]
local at = redis.call("HMGET", head, "sequence", "hash")
if (at[1] or "0") ~= ARGV[1] or (at[2] or "") ~= ARGV[2] then return redis.call("HGETALL", head) end
local prefix = string.sub(head, 1, -5) .. "log:"
for n = 9, #ARGV do redis.call("RPUSH", prefix .. string.format("%.0f", ARGV[8] + n - 9), ARGV[n]) end
if not at[1] then redis.call("HSET", head, "first", "1", "anchor", "") end
redis.call("HSET", head, "sequence", ARGV[3], "hash", ARGV[4], "recorded", ARGV[5])
if ARGV[6] ~= "" then redis.call("HSET", head, "from:" .. ARGV[6], ARGV[7]) end
return 1
