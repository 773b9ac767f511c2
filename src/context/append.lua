--[[ Add events to a memory, keep the latest, and keep them for a while longer.
  KEYS[1] events  list of JSON, oldest first
  ARGV[1] events to keep  ARGV[2] time to live, ms  ARGV[3...] events to add ]]
redis.call("RPUSH", KEYS[1], unpack(ARGV, 3))
redis.call("LTRIM", KEYS[1], -tonumber(ARGV[1]), -1)
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
