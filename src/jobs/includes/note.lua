-- Notes a decision, and the end of a job that waited for approval, for the audit log: in the commit that makes it so.
-- Whoever keeps the log reads the notes of a shard in order, see decision-notes.ts. Each is packed as ten texts with
-- their lengths: time (µs), from, to, reason, job id, tenant, topic, trace id, principal, decision.
local note_format = ">" .. string.rep("I4c0", 10)
local notes = {} -- by shard

local function note(key, id, from, to, reason, tenant, topic, trace, actor, decision)
  tenant, topic, actor = tenant or "", topic or "", actor or ""
  local prefix = prefix_of(key)
  local of_shard = notes[prefix]
  if not of_shard then
    of_shard = {}
    notes[prefix] = of_shard
  end
  of_shard[#of_shard + 1] = struct.pack(note_format, #now_us, now_us, #from, from, #to, to, #reason, reason, #id, id,
    #tenant, tenant, #topic, topic, #trace, trace, #actor, actor, #decision, decision)
end

local function write_notes()
  for prefix, of_shard in pairs(notes) do redis.call("RPUSH", prefix .. "audit", unpack(of_shard)) end
end
