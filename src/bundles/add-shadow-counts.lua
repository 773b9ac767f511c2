--[[ Add what one process counted since the last time, unless another shadow was started meanwhile.
  KEYS[1] shadow   hash: generation, counts `n:<kind>`, snapshots
  KEYS[2..4] examples of what is escalated, relaxed, changed   lists, newest first
  ARGV[1] generation   ARGV[2] examples to keep of each kind   ARGV[3] live snapshot   ARGV[4] draft snapshot
  then kinds and counts behind their number, then for each of the lists its new examples behind their number
  Returns 1 when added, 0 when the generation is another. ]]
if redis.call("HGET", KEYS[1], "generation") ~= ARGV[1] then return 0 end
redis.call("HSET", KEYS[1], "live_snapshot", ARGV[3], "draft_snapshot", ARGV[4])
local at = 5
for i = 1, tonumber(ARGV[at]) do
  redis.call("HINCRBY", KEYS[1], "n:" .. ARGV[at + 2 * i - 1], ARGV[at + 2 * i])
end
at = at + 1 + 2 * tonumber(ARGV[at])
for key = 2, 4 do
  local size = tonumber(ARGV[at])
  for i = 1, size do redis.call("LPUSH", KEYS[key], ARGV[at + i]) end
  if size > 0 then redis.call("LTRIM", KEYS[key], 0, tonumber(ARGV[2]) - 1) end
  at = at + 1 + size
end
return 1
