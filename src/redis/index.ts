export { type Batcher, createBatcher } from "./batcher.ts";
export { openRedis, type RedisClient, type RedisConnectOptions, redactUrl } from "./connect.ts";
export { createLease, type Lease } from "./lease.ts";
export { type ReadCommand, readsOn } from "./reads.ts";
export { loadScript, runScript, type Script, type ScriptArg } from "./script.ts";
export { shardOf, verifyShards } from "./shards.ts";
