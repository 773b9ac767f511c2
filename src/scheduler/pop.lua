--[[ Take parked jobs for a worker: highest priority first, then by virtual time over all lanes that it can serve.
  Lanes come and go, so their keys are derived from KEYS[1]; all share the pool's hash tag.
  KEYS[1] lanes   hash: "<priority>:<lane>" -> {"topic":..., "labels":{...}}
  KEYS[2] clock   hash, see enqueue.lua
  ARGV[1] most jobs   ARGV[2] the worker's labels as JSON   ARGV[3] only jobs of this topic; empty for any
  Returns the ids, each with its virtual time. ]]
local pool = string.sub(KEYS[1], 1, -#":lanes" - 1)
local have = cjson.decode(ARGV[2])

local function serves(need)
  if ARGV[3] ~= "" and need.topic ~= ARGV[3] then return false end
  for name, value in pairs(need.labels) do if have[name] ~= value then return false end end
  return true
end

local byPriority = {}
local all = redis.call("HGETALL", KEYS[1])
for n = 1, #all, 2 do
  if serves(cjson.decode(all[n + 1])) then
    local priority = string.match(all[n], "^(%d+):")
    byPriority[priority] = byPriority[priority] or {}
    table.insert(byPriority[priority], { field = all[n], key = pool .. ":lane:" .. all[n] })
  end
end

local ids = {}
for _, priority in ipairs({ "0", "1", "2" }) do
  local lanes = byPriority[priority] or {}
  local now = tonumber(redis.call("HGET", KEYS[2], priority) or 0)
  while #ids < 2 * tonumber(ARGV[1]) do
    local best, best_at, best_id
    for _, lane in ipairs(lanes) do
      if not lane.id then
        local head = redis.call("ZRANGE", lane.key, 0, 0, "WITHSCORES")
        lane.id, lane.at = head[1], tonumber(head[2])
        if not lane.id then redis.call("HDEL", KEYS[1], lane.field) end -- its last job was removed, not popped
      end
      if lane.id and (not best or lane.at < best_at) then best, best_at, best_id = lane, lane.at, lane.id end
    end
    if not best then break end
    redis.call("ZREM", best.key, best_id)
    now = math.max(now, best_at) -- a job that few workers can do is taken late; time does not go back for it
    redis.call("HSET", KEYS[2], priority, now)
    ids[#ids + 1] = best_id
    ids[#ids + 1] = tostring(best_at)
    best.id = nil
    if redis.call("EXISTS", best.key) == 0 then redis.call("HDEL", KEYS[1], best.field) end
  end
end
if redis.call("EXISTS", KEYS[1]) == 0 then redis.call("DEL", KEYS[2]) end
return ids
