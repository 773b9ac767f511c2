--[[ Make a set of bundles live and record it, unless the live set or a draft it takes in has changed meanwhile.
  KEYS[1] head, KEYS[2] bundles, KEYS[3] drafts, KEYS[4] draft revisions   hashes
  KEYS[5] releases   sorted set: release id by revision
  KEYS[6] release heads, KEYS[7] release bundles, KEYS[8] imported   hashes
  ARGV[1] revision that the live set must have   ARGV[2] release id   ARGV[3] its time
  ARGV[4] releases to keep   ARGV[5] head, JSON   ARGV[6] bundles, gzipped JSON
  then, each list behind its length: drafts taken in (id, revision), bundles to set (id, JSON), bundles to remove (id),
  bundles of an older installation that had their turn (id)
  Returns 1 when done, 0 when something has changed. ]]
local at = 7
local function list(width)
  local entries, size = {}, tonumber(ARGV[at])
  for i = 1, size do entries[i] = { ARGV[at + 1 + (i - 1) * width], ARGV[at + width + (i - 1) * width] } end
  at = at + 1 + size * width
  return entries
end
local drafts, sets, removals, imported = list(2), list(2), list(1), list(1)
if (redis.call("HGET", KEYS[1], "revision") or "0") ~= ARGV[1] then return 0 end
for _, draft in ipairs(drafts) do
  if redis.call("HGET", KEYS[4], draft[1]) ~= draft[2] then return 0 end
end
for _, draft in ipairs(drafts) do
  redis.call("HDEL", KEYS[3], draft[1])
  redis.call("HDEL", KEYS[4], draft[1])
end
for _, bundle in ipairs(sets) do redis.call("HSET", KEYS[2], bundle[1], bundle[2]) end
for _, bundle in ipairs(removals) do redis.call("HDEL", KEYS[2], bundle[1]) end
for _, bundle in ipairs(imported) do redis.call("HSET", KEYS[8], bundle[1], ARGV[2]) end
local revision = redis.call("HINCRBY", KEYS[1], "revision", 1)
redis.call("HSET", KEYS[1], "release", ARGV[2], "updated_at", ARGV[3])
redis.call("ZADD", KEYS[5], revision, ARGV[2])
redis.call("HSET", KEYS[6], ARGV[2], ARGV[5])
redis.call("HSET", KEYS[7], ARGV[2], ARGV[6])
local excess = redis.call("ZRANGE", KEYS[5], 0, -1 - tonumber(ARGV[4]))
for _, id in ipairs(excess) do
  redis.call("ZREM", KEYS[5], id)
  redis.call("HDEL", KEYS[6], id)
  redis.call("HDEL", KEYS[7], id)
end
return 1
