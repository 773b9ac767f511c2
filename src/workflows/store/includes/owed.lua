-- What a run owes. Few effects are one text, the field `owed` of its hash, so that they are written with the rest of it:
-- per effect a line break, its id, a tab, and since when it is owed (ms), a bar and the effect. Many would be much to write
-- again with each change: they are in a hash of their own, and the field says so until that is empty. A run that owes
-- nothing has no such field, or an empty one: a full memory refuses to write one, and not to remove it.
local most_owed_inline = 4096 -- bytes

local function is_in_hash(owed) return owed == owed_in_hash end

local function owed_line(id, entry) return "\n" .. id .. "\t" .. entry end

-- The text without the effects ARGV[from..to].
local function without(owed, from, to)
  for n = from, to do
    local first = string.find(owed, "\n" .. ARGV[n] .. "\t", 1, true)
    if first then
      local next_line = string.find(owed, "\n", first + 1, true)
      owed = string.sub(owed, 1, first - 1) .. (next_line and string.sub(owed, next_line) or "")
    end
  end
  return owed
end

-- Takes the effects ARGV[from..to] out of the hash. True when none are left.
local function settle_in_hash(hash, from, to)
  for first = from, to, 1000 do redis.call("HDEL", hash, unpack(ARGV, first, math.min(first + 999, to))) end
  return redis.call("EXISTS", hash) == 0
end
