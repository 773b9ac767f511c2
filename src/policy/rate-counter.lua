--[[ Let a request pass unless too many others did within the window. Looking and counting are one step, so that any
  number of processes together let exactly the limit pass. Requests that do not pass leave nothing behind: a key holds
  the limit's number of members at most, and expires with the last of them.
  KEYS[1] passed   sorted set: request -> when it passed, microseconds of Redis' clock
  ARGV[1] request  ARGV[2] limit  ARGV[3] window, ms  ARGV[4] 1 to look only
  Returns 0 when it passes (or did before, within the window), 1 when the limit is reached. ]]
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local since = now - ARGV[3] * 1000
local score = redis.call("ZSCORE", KEYS[1], ARGV[1])
if score and tonumber(score) > since then return 0 end
if redis.call("ZCOUNT", KEYS[1], "(" .. string.format("%.0f", since), "+inf") >= tonumber(ARGV[2]) then return 1 end
if ARGV[4] == "1" then return 0 end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%.0f", since))
redis.call("ZADD", KEYS[1], string.format("%.0f", now), ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 0
