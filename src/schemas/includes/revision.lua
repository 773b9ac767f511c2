-- The revision of what is there; one more than the last when another program has written it. Second: whether it is ours.
local function revision_of(body, meta)
  local last = tonumber(meta[1] or "0")
  if meta[2] == redis.sha1hex(body) then return last, true end
  return last + 1, false
end
