import type { Draft } from "./draft.ts";
import { settleRun } from "./end-run.ts";
import { applied, type EventOutcome, ignored, refused } from "./outcome.ts";
import type { Hold, RunHeader } from "./state.ts";

/** Goes on where the run was held up. */
type GoOn = () => EventOutcome;

export function pause(draft: Draft, hasEnded: boolean): EventOutcome {
  const { header } = draft;
  if (hasEnded || header.status === "compensating") return refused("ended", `the run is ${header.status}`);
  if (isPausedItself(header)) return ignored("it is paused");
  delete header.heldOnly;
  header.paused = true;
  tellNested(draft, true);
  settleRun(draft);
  return applied;
}

export function resume(draft: Draft, hasEnded: boolean, goOn: GoOn): EventOutcome {
  const { header } = draft;
  if (hasEnded || header.status === "compensating") return refused("ended", `the run is ${header.status}`);
  if (!header.paused) return ignored("it is not paused");
  const holder = holderOf(header);
  if (header.heldOnly) return refused("invalid", `run ${holder}, which it is a part of, is paused; resume that one`);
  tellNested(draft, false);
  if (holder === undefined) return goOn();
  header.heldOnly = true;
  return applied;
}

/** A run that this one is nested in was paused or resumed. Also while this one is being undone, which is not held up. */
export function hold(
  draft: Draft,
  { by, on, sequence }: Hold & { by: string },
  hasEnded: boolean,
  goOn: GoOn,
): EventOutcome {
  const { header } = draft;
  if (hasEnded) return ignored("the run has ended");
  if ((header.holds?.[by]?.sequence ?? -1) >= sequence) return ignored("it was said before");
  header.holds = { ...header.holds, [by]: { on, sequence } };
  if (header.status === "compensating") return applied;
  const isHeld = holderOf(header) !== undefined;
  if (isHeld && !header.paused) {
    header.paused = header.heldOnly = true;
    settleRun(draft);
  } else if (!isHeld && header.heldOnly) {
    delete header.heldOnly;
    return goOn();
  }
  return applied;
}

export function isPausedItself({ paused, heldOnly }: RunHeader): boolean {
  return paused === true && heldOnly !== true;
}

/** What a run that is begun in this one starts with: it is held by whatever holds this one. */
export function holdsOfNested(header: RunHeader): Pick<RunHeader, "paused" | "heldOnly" | "holds"> {
  if (!header.paused) return {};
  const holds = Object.fromEntries(Object.entries(header.holds ?? {}).filter(([, { on }]) => on));
  if (isPausedItself(header)) holds[header.id] = { on: true, sequence: header.pauses ?? 0 };
  return { paused: true, heldOnly: true, holds };
}

function holderOf({ holds = {} }: RunHeader): string | undefined {
  return Object.entries(holds).find(([, { on }]) => on)?.[0];
}

function tellNested(draft: Draft, on: boolean): void {
  const { header, workflow } = draft;
  if (workflow.steps.every(({ unit }) => unit === "job")) return;
  header.pauses = (header.pauses ?? 0) + 1;
  draft.effect({ kind: "hold-nested", id: `hold:${header.pauses}`, on, sequence: header.pauses });
}
