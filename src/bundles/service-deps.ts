import type { KeyObject } from "node:crypto";
import type { ConfigIds } from "../config/index.ts";
import type { JobReader } from "../jobs/index.ts";
import type { PolicyKernel } from "../policy/index.ts";
import type { ShadowStore } from "./shadow-store.ts";
import type { BundleStore } from "./store.ts";

/** What `PolicyService` is made of. */
export interface PolicyServiceDeps {
  kernel: PolicyKernel;
  store: BundleStore;
  shadows: ShadowStore;
  reader: Pick<JobReader, "list">;
  /** Parsed JSON, or undefined when there is none. */
  effectiveConfigOf: (ids: ConfigIds) => Promise<unknown>;
  /** Tells every process that bundles or the shadow have changed. */
  announce: () => void;
  /** Verifies the signatures that bundles carry. */
  publicKey: KeyObject | undefined;
  /** Only signed bundles may be published. */
  areSignaturesRequired: boolean;
  /** False: kernels do not read bundles, so none may be published. */
  areBundlesUsed: boolean;
  /** Its callers may see and change policy. */
  defaultTenant: string;
  now?: () => number;
}
