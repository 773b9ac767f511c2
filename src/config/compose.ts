import { canonicalJson, hashOf, type JsonMap } from "./json.ts";
import { deepMerge } from "./merge.ts";
import { layersOf, restrict } from "./restrictions.ts";
import { type Scope, scopes } from "./scopes.ts";

/** What holds for one job, step, workflow, team or tenant. */
export interface EffectiveConfig {
  /** `system:<r>|org:<r>|team:<r>|workflow:<r>|step:<r>`; 0 where there is no document. */
  readonly version: string;
  /** SHA-256 of the canonical JSON of `data`, lower-case hex. */
  readonly hash: string;
  readonly data: JsonMap;
}

/** What a job is told of it. */
export interface JobConfig {
  /** Without `pools` and `timeouts`, which are the scheduler's own. */
  readonly data: JsonMap;
  /** The same, canonical JSON. */
  readonly text: string;
}

export interface Layer {
  readonly scope: Scope;
  readonly revision: number;
  readonly data: JsonMap;
}

/** Pure: all layers merged, narrower ones over wider ones; restrictions only add up. */
export function compose(layers: readonly Layer[]): EffectiveConfig {
  const ordered = scopes.flatMap((scope) => layers.filter((layer) => layer.scope === scope));
  const all = ordered.flatMap(({ data }) => layersOf(data));
  const data = restrict(all.reduce<JsonMap>(deepMerge, {}), all);
  const revisionOf = (scope: Scope) => ordered.find((layer) => layer.scope === scope)?.revision ?? 0;
  const version = scopes.map((scope) => `${scope}:${revisionOf(scope)}`).join("|");
  return { version, hash: hashOf(data), data };
}

/** Undefined when it says nothing to jobs. */
export function toJobConfig({ data }: EffectiveConfig): JobConfig | undefined {
  const entries = Object.entries(data).filter(([key]) => key !== "pools" && key !== "timeouts");
  if (entries.length === 0) return undefined;
  const forJob: JsonMap = Object.fromEntries(entries);
  return { data: forJob, text: canonicalJson(forJob) };
}
