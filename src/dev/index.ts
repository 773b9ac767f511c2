export { guardCommand, type ServerCommand } from "./find-command.ts";
export { type PrivateServers, type PrivateServersOptions, startPrivateServers } from "./private-servers.ts";
export { findFreePort } from "./probe.ts";
export { type ServerProcess, type ServerProcessOptions, startServer, wipeServer } from "./server-process.ts";
export { natsSpec, redisSpec, type ServerSpec } from "./server-spec.ts";
