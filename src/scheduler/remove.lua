--[[ Take a job out of a pool's queue, wherever it stands. A lane that this empties is forgotten.
  KEYS[1] lanes   KEYS[2] clock   KEYS[3] lane: see enqueue.lua
  ARGV[1] "<priority>:<lane>"   ARGV[2] job id
  Returns 1 when it stood there, else 0. ]]
local removed = redis.call("ZREM", KEYS[3], ARGV[2])
if redis.call("EXISTS", KEYS[3]) == 0 then redis.call("HDEL", KEYS[1], ARGV[1]) end
if redis.call("EXISTS", KEYS[1]) == 0 then redis.call("DEL", KEYS[2]) end
return removed
