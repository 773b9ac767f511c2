import type { StepState } from "../core/state.ts";
import type { RunReader, StoredUnit } from "../store/index.ts";

/** Units of a fan-out, turns of a loop or branches of a parallel step, by index. */
export interface UnitPage {
  units: StoredUnit[];
  /** More have begun than those before and in this page. */
  hasMore: boolean;
}

/** @param maxBytes - payloads that do not fit are not read, see RunReader */
export async function readUnits(
  runReader: RunReader,
  runId: string,
  { stepId, state, from, count }: { stepId: string; state: StepState; from: number; count: number },
  maxBytes?: number,
): Promise<UnitPage> {
  const begun = unitsBegun(state);
  const size = Math.min(count, begun - from);
  const hasMore = from + Math.max(0, size) < begun;
  if (size <= 0) return { units: [], hasMore };
  const names = state.fan?.names?.slice(from, from + size);
  if (!names) return { units: await runReader.units(runId, stepId, from, size, maxBytes), hasMore };
  const keys = names.map((name) => `${stepId}[${name}]`);
  const found = await runReader.steps(runId, keys, maxBytes);
  const units = keys.flatMap((key, at) => {
    const unit = found.get(key);
    return unit ? [{ ...unit, key, index: from + at, item: undefined }] : [];
  });
  return { units, hasMore };
}

/** How many units have begun; 0 for a step that has none. */
export function unitsBegun({ fan, iterations }: StepState): number {
  if (fan) return fan.next;
  return iterations === undefined ? 0 : iterations + 1; // the turn at work; it may not be there
}
