--[[ Replace or remove one document, unless somebody has changed it since it was read, and record the change.
  KEYS[1] document   string, JSON
  KEYS[2] revisions  sorted set: row, JSON -> revision
  KEYS[3] bodies     hash: revision -> data, JSON
  ARGV[1] SHA-1 of the document as read, empty for none
  ARGV[2] newest revision of the history as read, 0 for none
  ARGV[3] revisions to keep
  ARGV[4] new document, empty to remove it
  ARGV[5...] for each revision to record: its number, its row, its data (empty for a removal)
  Returns 1 when done, 0 when somebody was faster. ]]
local found = redis.call("GET", KEYS[1])
if (found and redis.sha1hex(found) or "") ~= ARGV[1] then return 0 end
local newest = redis.call("ZREVRANGE", KEYS[2], 0, 0, "WITHSCORES")
if (tonumber(newest[2]) or 0) ~= tonumber(ARGV[2]) then return 0 end

if ARGV[4] == "" then
  redis.call("DEL", KEYS[1])
else
  redis.call("SET", KEYS[1], ARGV[4])
end
for i = 5, #ARGV, 3 do
  redis.call("ZADD", KEYS[2], ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] ~= "" then redis.call("HSET", KEYS[3], ARGV[i], ARGV[i + 2]) end
end

local old = redis.call("ZRANGE", KEYS[2], 0, -tonumber(ARGV[3]) - 1, "WITHSCORES")
for i = 1, #old, 2 do
  redis.call("ZREM", KEYS[2], old[i])
  redis.call("HDEL", KEYS[3], old[i + 1])
end
return 1
