-- Takes a run that has ended out of all indexes. `row` is JSON: id, status, tenant, workflow, outermost run.
local function forget(prefix, row)
  local id, status, tenant, workflow, root = unpack(cjson.decode(row))
  if root == "" then
    redis.call("ZREM", prefix .. "idx:runs", id)
    redis.call("ZREM", prefix .. "idx:tenant:" .. tenant, id)
    redis.call("ZREM", prefix .. "idx:wf:" .. workflow, id)
    redis.call("ZREM", prefix .. "idx:status:" .. status, id)
  else
    redis.call("ZREM", prefix .. "idx:nested", id)
    redis.call("ZREM", prefix .. "idx:parent:" .. root, id)
  end
  redis.call("ZREM", prefix .. "ended", row)
end
