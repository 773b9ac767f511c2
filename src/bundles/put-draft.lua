--[[ Write or remove the draft of one bundle, unless somebody was faster.
  KEYS[1] drafts, KEYS[2] draft revisions, KEYS[3] head   hashes
  ARGV[1] bundle id   ARGV[2] revision that the draft must have, 0 for none, empty for any
  ARGV[3] JSON; empty removes   ARGV[4] most drafts at a time
  ARGV[5] revision that the live set must have, empty for any
  Returns {1, revision} when written, {0, revision found} when another revision was found, {-1, drafts} when too many,
  {-2, revision found} when the live set has another one. ]]
local found = redis.call("HGET", KEYS[2], ARGV[1]) or "0"
if ARGV[2] ~= "" and ARGV[2] ~= found then return { 0, tonumber(found) } end
local live = redis.call("HGET", KEYS[3], "revision") or "0"
if ARGV[5] ~= "" and ARGV[5] ~= live then return { -2, tonumber(live) } end
if ARGV[3] == "" then
  redis.call("HDEL", KEYS[1], ARGV[1])
  redis.call("HDEL", KEYS[2], ARGV[1])
  return { 1, 0 }
end
local drafts = redis.call("HLEN", KEYS[1])
if found == "0" and drafts >= tonumber(ARGV[4]) then return { -1, drafts } end
local revision = redis.call("HINCRBY", KEYS[3], "drafts", 1)
redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
redis.call("HSET", KEYS[2], ARGV[1], revision)
return { 1, revision }
