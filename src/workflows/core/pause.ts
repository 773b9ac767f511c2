import type { Draft } from "./draft.ts";
import { settleRun } from "./end-run.ts";
import { applied, type EventOutcome, ignored, refused } from "./outcome.ts";
import { type Hold, type RunHeader, terminalRuns } from "./state.ts";

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

export type Holds = NonNullable<RunHeader["holds"]>;

/** What runs say of their pauses; those that have never been paused say nothing. */
export function holdsBy(outer: readonly RunHeader[]): Holds {
  const said = outer.filter((header) => isPausedItself(header) || header.pauses !== undefined);
  return Object.fromEntries(
    said.map((header) => {
      const on = isPausedItself(header) && !terminalRuns.has(header.status);
      return [header.id, { on, sequence: header.pauses ?? 0 }];
    }),
  );
}

/** What a run begins with that is nested in those who say this. */
export function beginHeld(holds: Holds): Pick<RunHeader, "paused" | "heldOnly" | "holds"> {
  const isHeld = Object.values(holds).some(({ on }) => on);
  return { ...(isHeld && { paused: true, heldOnly: true }), ...(Object.keys(holds).length > 0 && { holds }) };
}

/**
 * What a nested run has not heard: messages are owed until they are heard, but whoever says something may be lost, ended
 * or an older program.
 * @param outer - as they are now, read after `header`: so none of them is older than what it has heard
 */
export function unheardBy({ holds: heard = {} }: RunHeader, outer: readonly RunHeader[]): Holds {
  const said = holdsBy(outer.filter(({ status }) => !terminalRuns.has(status)));
  const unheard: Holds = {};
  for (const [by, hold] of Object.entries(said)) {
    const last = heard[by];
    if (last ? hold.sequence > last.sequence : hold.on) unheard[by] = hold;
    else if (last && last.on !== hold.on) unheard[by] = { on: hold.on, sequence: last.sequence + half };
  }
  for (const [by, { on, sequence }] of Object.entries(heard)) {
    if (on && !said[by]) unheard[by] = { on: false, sequence: sequence + half };
  }
  return unheard;
}

/** Between what was heard and whatever is said next. */
const half = 0.5;

function holderOf({ holds = {} }: RunHeader): string | undefined {
  return Object.entries(holds).find(([, { on }]) => on)?.[0];
}

function tellNested(draft: Draft, on: boolean): void {
  const { header, workflow } = draft;
  if (workflow.steps.every(({ unit }) => unit === "job")) return;
  header.pauses = (header.pauses ?? 0) + 1;
  draft.effect({ kind: "hold-nested", id: `hold:${header.pauses}`, on, sequence: header.pauses });
}
