--[[ Put or remove one schema, unless its revision is not the expected one.
  KEYS[1] body  string    KEYS[2] meta  hash
  ARGV[1] new body, empty to remove it    ARGV[2] expected revision, 0 for none, empty for any
  ARGV[3] author    ARGV[4] how long the revision of a removed schema is remembered, ms
  Returns {1, new revision, updated ms, body as it was or ""}, {0, revision found} when it is another,
  or {2} when there is nothing to remove. ]]
-- @include revision
local body = redis.call("GET", KEYS[1])
local meta = redis.call("HMGET", KEYS[2], "revision", "digest")
local found = body and revision_of(body, meta) or 0
if ARGV[2] ~= "" and tonumber(ARGV[2]) ~= found then return { 0, found } end
if ARGV[1] == "" and not body then return { 2 } end

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local revision = math.max(found, tonumber(meta[1] or "0")) + 1
local digest = ARGV[1] == "" and "" or redis.sha1hex(ARGV[1])
redis.call("HSET", KEYS[2], "revision", revision, "digest", digest, "updated", now, "author", ARGV[3])
if ARGV[1] == "" then
  redis.call("DEL", KEYS[1])
  redis.call("PEXPIRE", KEYS[2], ARGV[4])
else
  redis.call("SET", KEYS[1], ARGV[1])
  redis.call("PERSIST", KEYS[2])
end
return { 1, revision, now, body or "" }
