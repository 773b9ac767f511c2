export { type ArtifactOwner, findArtifactOwner, isOfTenant, isShown } from "./access.ts";
export { artifactIdOf, artifactKeys } from "./keys.ts";
export type { RetentionTtls } from "./retention.ts";
export { type ArtifactServiceDeps, createArtifactService } from "./service.ts";
export { createArtifactStore } from "./store.ts";
