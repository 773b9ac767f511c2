import { posix } from "node:path";
import type { DiffConstraints } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { matchesGlob } from "./constraints-glob.ts";

/** A change that a job wants to make to files. */
export interface Diff {
  readonly files: readonly {
    /** From the root of what is changed, with slashes. */
    readonly path: string;
    /** Lines added and removed. */
    readonly lines: number;
  }[];
}

/** What a change has against policy. */
export type DiffViolation =
  | { readonly kind: "too_many_files" | "too_many_lines"; readonly limit: number; readonly actual: number }
  | { readonly kind: "denied_path"; readonly path: string; readonly glob: string }
  /** Absolute, or it leads out of the root. */
  | { readonly kind: "outside_path"; readonly path: string };

/**
 * All that policy has against a change; empty when it may be made. A denied pattern without a slash holds for a name at any
 * depth, one with a slash from the root on; what names a folder holds for all below it. A limit of 0 is none.
 */
export function checkDiff(limits: DiffConstraints | undefined, { files }: Diff): DiffViolation[] {
  if (limits === undefined) return [];
  const { maxFiles, maxLines, denyPathGlobs } = limits;
  const violations: DiffViolation[] = [];
  const lines = files.reduce((sum, file) => sum + Math.max(0, file.lines), 0);
  if (maxFiles > 0 && files.length > maxFiles) {
    violations.push({ kind: "too_many_files", limit: maxFiles, actual: files.length });
  }
  // Written so that a number that is none counts as too many.
  if (maxLines > 0 && !(lines <= maxLines)) violations.push({ kind: "too_many_lines", limit: maxLines, actual: lines });
  for (const { path } of files) {
    const target = normalise(path);
    if (target === undefined) violations.push({ kind: "outside_path", path });
    const glob = denyPathGlobs.find((pattern) => isDenied(pattern, target ?? path));
    if (glob !== undefined) violations.push({ kind: "denied_path", path, glob });
  }
  return violations;
}

function normalise(path: string): string | undefined {
  const target = posix.normalize(path.replaceAll("\\", "/"));
  const isOutside = posix.isAbsolute(target) || target === ".." || target.startsWith("../") || target.includes("\0");
  return isOutside || path === "" ? undefined : target;
}

function isDenied(pattern: string, path: string): boolean {
  const glob = pattern.replace(/^\.?\/+/, "").replace(/\/+$/, "");
  if (glob === "") return false;
  const anchored = pattern.replace(/\/+$/, "").includes("/") ? glob : `**/${glob}`;
  return matchesGlob(anchored, path) || matchesGlob(`${anchored}/**`, path);
}
