-- What all scripts on runs share. All keys of a run and of its shard begin with "{wNN}:" and are derived from the run's
-- key: one slot by construction.
local time = redis.call("TIME")
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local first_us = time[1] * 1000000 + time[2]

local function text(number) return string.format("%.0f", number) end

local function prefix_of(key) return string.sub(key, 1, 6) end

-- Keys that a run has besides its hash. `listed` is the field `parts` of the hash: their names, each ended by "|".
local function keys_of(key, listed)
  local keys = {}
  for part in string.gmatch(listed or "", "([^|]+)|") do keys[#keys + 1] = key .. "|" .. part end
  return keys
end

-- What fails for one entry of a batch must not stop the others half way.
local function answer(isDone, reply)
  if isDone then return reply end
  return { -1, type(reply) == "table" and reply.err or tostring(reply) }
end
