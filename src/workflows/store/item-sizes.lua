--[[ How long some items of a fan-out are.
  KEYS[1] items   list: JSON
  ARGV[1] index of the first  ARGV[2] index of the last
  Returns their lengths, bytes; fewer when there are fewer. ]]
local sizes = {}
for at, item in ipairs(redis.call("LRANGE", KEYS[1], ARGV[1], ARGV[2])) do sizes[at] = #item end
return sizes
