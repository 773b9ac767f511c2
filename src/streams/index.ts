export { awaitReady, hasEvents } from "./await-events.ts";
export { type StreamFilter, toFilter } from "./filter.ts";
export { createStreamHub, type StreamHub, type StreamHubOptions } from "./hub.ts";
export { createStreamService } from "./service.ts";
export { createStreamSocketHandler } from "./web-socket.ts";
