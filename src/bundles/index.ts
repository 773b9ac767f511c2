export { createBaseArchive } from "./base-archive.ts";
export { createBundleSource } from "./bundle-source.ts";
export { createPolicyService } from "./service.ts";
export { type ShadowRunner, startShadowRunner } from "./shadow-runner.ts";
export { createShadowStore, type ShadowStore } from "./shadow-store.ts";
export { type BundleStore, createBundleStore } from "./store.ts";
