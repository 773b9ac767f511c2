--[[ A batch of transitions, each a compare-and-set on (state, attempt) of its own job; one may fail and others pass.
  The keys of a job's shard share its hash tag, so they are derived from its key: one slot by construction.
  KEYS[n] job hash
  ARGV    per key: operation, id, number of further arguments, those arguments (see the included files)
  Returns per key {1, ...} when it was made, {0, why, state, attempt} when not: why is missing, state, attempt, worker,
  digest, transition, approved, approval, revision, expired or output; {-1, message} when the operation failed. ]]
-- @define transitions
-- @include job
-- @include approval
-- @include note
-- @include dispatch
-- @include finish
-- @include park
-- @include hold
-- @include beat
-- @include review
-- @include settle
-- @include revise
local operations = { dispatch = dispatch, finish = finish, park = park, hold = hold, beat = beat, review = review,
  settle = settle, revise = revise }

local replies = {}
local at = 1
for n, key in ipairs(KEYS) do
  local operation, id, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  now_us = text(first_us + n - 1) -- two moves of one job in one batch must not share a line of its log
  log_field = "@" .. now_us
  -- What fails for one job must not stop the others half way.
  local isDone, reply = pcall(operations[operation], key, id, unpack(ARGV, at + 3, at + 2 + count))
  replies[n] = isDone and reply or { -1, type(reply) == "table" and reply.err or tostring(reply) }
  at = at + 3 + count
end
write_notes()
return replies
