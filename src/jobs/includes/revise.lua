-- Settles what is to be known of the output of a job that has ended: it has been looked at only now.
-- Args: result pointer as it was, and as it is to be; artifacts (JSON, empty: as they are); error code and message (empty: as
--       they are); decision about the output
local function revise(key, id, seen_ptr, result_ptr, artifacts, code, message, output)
  local v = redis.call("HMGET", key, unpack(about))
  local state, attempt = v[1], tonumber(v[2] or 0)
  if not state then return { 0, "missing", "", 0 } end
  local w = redis.call("HMGET", key, "scan", "result_ptr")
  if w[1] ~= "1" then return { 0, "state", state, attempt } end -- done before
  if (w[2] or "") ~= seen_ptr then return { 0, "output", state, attempt } end
  redis.call("HSET", key, "result_ptr", result_ptr)
  redis.call("HDEL", key, "scan")
  if artifacts ~= "" then redis.call("HSET", key, "artifacts", artifacts) end
  if code ~= "" then redis.call("HSET", key, "error_code", code) end
  if message ~= "" then redis.call("HSET", key, "error_message", message) end
  local entry = prefix_of(key) .. "dlq:" .. id
  if redis.call("EXISTS", entry) == 1 then -- it holds what the record held until now
    if code ~= "" then redis.call("HSET", entry, "reason_code", code) end
    if message ~= "" then redis.call("HSET", entry, "reason", message) end
  end
  if output ~= "" then
    remember(key, id, now_us, output)
    note(key, id, state, state, code, v[3], v[4], v[5] or id, "", output)
  end
  local run = redis.call("HGET", key, "run")
  if run then set_timer(key, id, now_ms + publish_within_ms) -- the run is told now
  else redis.call("ZREM", prefix_of(key) .. "timers", id) end
  local reply = describe(v, id)
  reply[11] = run or ""
  return reply
end
