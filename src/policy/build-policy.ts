import type { KeyObject } from "node:crypto";
import type { CompiledPolicy } from "./compile.ts";
import { compileSourcesInSlices } from "./compile-sources.ts";
import type { PublishedBundle } from "./ports.ts";
import type { PolicyProblem } from "./problem.ts";
import { signatureProblem, signedBundleBytes } from "./signature.ts";
import { baseSnapshot, bundleSnapshot, joinSnapshots } from "./snapshot.ts";

/** The document that stands under the bundles. */
export interface BaseDocument {
  /** Path, or address without credentials. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface BuiltPolicy {
  /** Undefined when something that may not be left out has errors. */
  readonly policy: CompiledPolicy | undefined;
  /** The bundles that decide, by id. */
  readonly bundles: readonly PublishedBundle[];
  readonly problems: readonly PolicyProblem[];
}

export interface BuildOptions {
  /** Set: bundles without a valid signature have an error. */
  readonly bundleKey?: KeyObject | undefined;
  /**
   * Set: a bundle with errors does not spoil the whole. It decides as it does in this last good set, or not at all when
   * it is not there. Its problems are reported all the same.
   */
  readonly lastGood?: readonly PublishedBundle[] | undefined;
}

/** Puts base and bundles together. Disabled and blank bundles do not count. */
export async function buildPolicy(
  base: BaseDocument | undefined,
  bundles: readonly PublishedBundle[],
  { bundleKey, lastGood }: BuildOptions = {},
): Promise<BuiltPolicy> {
  const good = new Map(lastGood?.map((bundle) => [bundle.id, bundle]));
  const problems: PolicyProblem[] = [];
  let chosen = bundles.filter(({ enabled, content }) => enabled && content.trim() !== "").sort(byId);
  for (;;) {
    const unsigned = bundleKey === undefined ? [] : chosen.flatMap((bundle) => signatureErrors(bundle, bundleKey));
    const built = await compile(base, chosen);
    const found = [...unsigned, ...built.problems];
    const bad = new Set(found.filter(({ severity }) => severity === "error").map(({ source }) => source));
    const spoiled = chosen.filter(({ id }) => bad.has(id));
    if (spoiled.length === 0) return { ...built, problems: [...problems, ...found] };
    if (lastGood === undefined) return { ...built, policy: undefined, problems: found };
    problems.push(...found.filter(({ source }) => spoiled.some(({ id }) => id === source)));
    // each round leaves a bundle out or goes back to its last good content, once: the rounds come to an end
    chosen = chosen.flatMap((bundle) => {
      if (!bad.has(bundle.id)) return bundle;
      const before = good.get(bundle.id);
      good.delete(bundle.id);
      return before === undefined || before.content === bundle.content ? [] : before;
    });
  }
}

async function compile(base: BaseDocument | undefined, bundles: readonly PublishedBundle[]): Promise<BuiltPolicy> {
  const texts = bundles.map(({ id, tier, packId, content }) => ({
    id,
    tier,
    text: content,
    ...(packId !== undefined && { packId }),
  }));
  const first = base === undefined ? [] : [{ id: base.name, tier: "base" as const, text: base.bytes }];
  const snapshot = (version: string) =>
    joinSnapshots(base === undefined ? "" : baseSnapshot(version, base.bytes), bundleSnapshot(bundles));
  return { ...(await compileSourcesInSlices([...first, ...texts], snapshot)), bundles };
}

function signatureErrors({ id, content, signature }: PublishedBundle, key: KeyObject): PolicyProblem[] {
  const message = signatureProblem(key, signedBundleBytes(id, content), signature);
  if (message === undefined) return [];
  return [{ severity: "error", source: id, line: 0, column: 0, path: "", message }];
}

function byId(a: PublishedBundle, b: PublishedBundle): number {
  return Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));
}
