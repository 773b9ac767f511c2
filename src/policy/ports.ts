import type { PolicyTier } from "./model.ts";

/** A bundle as the store has it. */
export interface PublishedBundle {
  readonly id: string;
  readonly tier: PolicyTier;
  /** The pack that brought it; its rules may only name the pack's topics. */
  readonly packId?: string | undefined;
  readonly content: string;
  readonly enabled: boolean;
  /** Ed25519 over `<id>\n<content>`, base64 or hex; empty for none. */
  readonly signature: string;
}

/** Where published bundles come from. */
export interface BundleSource {
  /** All bundles that are live. @throws when it cannot be told which they are: that is not the same as none */
  read(): Promise<readonly PublishedBundle[]>;
  /** Calls back when another set may be live. Answers how to stop. */
  watch(onTouched: () => void): () => void;
}

export interface ArchivedBase {
  readonly bytes: Uint8Array;
  /** As it was found; undefined when there was none. */
  readonly signature: Uint8Array | string | undefined;
}

/** Keeps the last good base document of each place for kernels that start while the place is broken. */
export interface BaseArchive {
  load(place: string): Promise<ArchivedBase | undefined>;
  save(place: string, base: ArchivedBase): Promise<void>;
}
