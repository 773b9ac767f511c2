export { tenantOfMemory } from "./keys.ts";
export { type ContextEngineDeps, createContextEngine } from "./service.ts";
export { createMemoryStore, type MemoryStore } from "./store.ts";
