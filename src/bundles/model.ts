import { createHash } from "node:crypto";
import { invalidField } from "../errors/index.ts";
import type { PolicyTier } from "../policy/index.ts";

/** A bundle that decides, when it is enabled. */
export interface Bundle {
  readonly id: string;
  /** YAML or JSON, as it was sent. */
  readonly content: string;
  readonly enabled: boolean;
  readonly author: string;
  readonly message: string;
  /** RFC 3339, UTC, like every time here. */
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Ed25519 over `<id>\n<content>`, base64 or hex; empty for none. */
  readonly signature: string;
  /** Version of the pack that brought it; empty for others. */
  readonly version: string;
  readonly installedAt: string;
}

/** What a bundle is to become. */
export interface Draft {
  readonly id: string;
  readonly content: string;
  readonly enabled: boolean;
  /** The bundle is to be removed; then there is no content. */
  readonly deleted: boolean;
  readonly author: string;
  readonly message: string;
  readonly updatedAt: string;
  readonly signature: string;
}

export interface StoredDraft extends Draft {
  /** Larger than that of every draft written before. */
  readonly revision: number;
}

export type ReleaseAction = "publish" | "rollback" | "install" | "capture" | "import";

/** A set of bundles that was live from a moment on. */
export interface ReleaseHead {
  /** `r<revision>-<12 hex of the SHA-256 of its bundles>`. */
  readonly id: string;
  readonly action: ReleaseAction;
  readonly createdAt: string;
  readonly author: string;
  readonly message: string;
  readonly note: string;
  /** Ids of the bundles that it added, changed or removed. */
  readonly changed: readonly string[];
}

/** Who owns a bundle, told by its id. */
export type BundleOwner = "secops" | "pack" | "core";

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;
const maxIdLength = 256;

/**
 * The id in a request: in addresses `/` is written as `~`.
 * @throws DomainError invalid_argument naming `bundle_id`
 */
export function parseBundleId(text: string, field = "bundle_id"): string {
  const id = text.trim().replaceAll("~", "/");
  if (id.length <= maxIdLength && idPattern.test(id)) return id;
  throw invalidField(field, "must be names of letters, digits, `.`, `_` and `-`, separated by `/`");
}

export function ownerOf(id: string): BundleOwner {
  if (id.startsWith("secops/")) return "secops";
  return id.includes("/") ? "pack" : "core";
}

/** The pack that brought the bundle; undefined for others. */
export function packOf(id: string): string | undefined {
  return ownerOf(id) === "pack" ? id.slice(0, id.indexOf("/")) : undefined;
}

/** Where the rules of a bundle stand among the others. */
export function tierOf(id: string): PolicyTier {
  const owner = ownerOf(id);
  return owner === "core" ? "base" : owner;
}

export function sha256Of(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** In ascending order of their bytes. */
export function compareIds(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** `2026-01-02T03:04:05Z`. */
export function timestampOf(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
}
