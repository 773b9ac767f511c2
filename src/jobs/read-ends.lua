--[[ Read how jobs have ended, each with its output as far as that is where the caller believes it to be and is short.
  KEYS[n] job hash
  ARGV[1] bytes: a longer output is left to be read by itself, so that nobody waits for this script
  ARGV    per job: key of the output (empty: none is asked for). No KEYS, because it is of another slot: on Redis Cluster it
          must be empty
  Returns per job {1, state, result pointer, error code, error message, 1 while the output is still to be looked at, output};
  what there is not is empty. {-1, message} when it failed. ]]
local most = tonumber(ARGV[1])

local function short(key)
  if key == "" then return "" end
  local bytes = redis.pcall("GETRANGE", key, 0, most) -- a table when the worker has put something else there
  return type(bytes) == "string" and #bytes <= most and bytes or ""
end

local function read(job, output_key)
  local v = redis.call("HMGET", job, "state", "result_ptr", "error_code", "error_message", "scan")
  return { 1, v[1] or "", v[2] or "", v[3] or "", v[4] or "", v[5] or "", short(output_key) }
end

local replies = {}
for n, job in ipairs(KEYS) do
  -- What fails for one job must not stop the others.
  local isDone, reply = pcall(read, job, ARGV[n + 1])
  replies[n] = isDone and reply or { -1, type(reply) == "table" and reply.err or tostring(reply) }
end
return replies
