export { createStreamHub, type StreamHub, type StreamHubOptions } from "./hub.ts";
export { createStreamService } from "./service.ts";
export { createStreamSocketHandler } from "./web-socket.ts";
