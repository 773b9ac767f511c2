export { createMemoryService, type MemoryServiceDeps } from "./service.ts";
