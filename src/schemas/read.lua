--[[ One schema and what is known about it, in one step.
  KEYS[1] body  string    KEYS[2] meta  hash
  ARGV[1] "1" to read the body too
  Returns nothing, or {revision, updated ms (0 when not known), author, length, body or ""}. ]]
-- @include revision
local body = redis.call("GET", KEYS[1])
if not body then return nil end
local meta = redis.call("HMGET", KEYS[2], "revision", "digest", "updated", "author")
local revision, is_ours = revision_of(body, meta)
return { revision, is_ours and tonumber(meta[3]) or 0, is_ours and meta[4] or "", #body, ARGV[1] == "1" and body or "" }
