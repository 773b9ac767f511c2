--[[ Park a job in a pool's queue. A job that is in its lane already keeps its place.
  Order is by virtual time (start-time fair queueing): each tenant's next job stands one step behind its previous one,
  but never before now, so that a tenant with many jobs does not hold up one with few.
  KEYS[1] lanes   hash: "<priority>:<lane>" -> what its jobs need
  KEYS[2] clock   hash: "<priority>" -> virtual time now, "<priority>/<tenant>" -> that of the tenant's latest job
  KEYS[3] lane    sorted set: job id -> virtual time
  ARGV[1] "<priority>:<lane>"   ARGV[2] what its jobs need   ARGV[3] priority   ARGV[4] tenant   ARGV[5] job id
  ARGV[6] the virtual time it had before it was taken out in vain; empty for a job that comes anew
  ARGV[7] most lanes: each costs every later pop, and clients choose the labels that make them
  Returns 1 when it was added, 0 when it was there, -1 when it would need one lane too many. ]]
if redis.call("ZSCORE", KEYS[3], ARGV[5]) then return 0 end
if redis.call("HEXISTS", KEYS[1], ARGV[1]) == 0 and redis.call("HLEN", KEYS[1]) >= tonumber(ARGV[7]) then return -1 end
local tenant = ARGV[3] .. "/" .. ARGV[4]
local clock = redis.call("HMGET", KEYS[2], ARGV[3], tenant)
local at = math.max(tonumber(clock[1] or 0), tonumber(clock[2] or 0) + 1)
local place = tonumber(ARGV[6])
if place and place < at then at = place else redis.call("HSET", KEYS[2], tenant, at) end
redis.call("ZADD", KEYS[3], at, ARGV[5])
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
