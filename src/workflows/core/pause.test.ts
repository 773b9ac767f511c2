import { describe, expect, it } from "vitest";
import { baseHeader } from "../../../test/support/runs.ts";
import { beginHeld, type Holds, holdsBy, unheardBy } from "./pause.ts";
import type { RunHeader } from "./state.ts";

const outer = (more: Partial<RunHeader>): RunHeader => ({ ...baseHeader("o"), ...more });
const paused = { status: "paused" as const, paused: true };

describe("holdsBy() and beginHeld()", () => {
  it("hold what is begun in a run that is paused, and not in one that is held itself or was resumed", () => {
    const held = { ...outer({ ...paused, heldOnly: true }), id: "m" };
    const resumed = { ...outer({ pauses: 4 }), id: "r" };

    const holds = holdsBy([outer({ ...paused, pauses: 3 }), held, resumed, { ...outer({}), id: "n" }]);

    expect(holds).toEqual({ o: { on: true, sequence: 3 }, r: { on: false, sequence: 4 } });
    expect(beginHeld(holds)).toEqual({ paused: true, heldOnly: true, holds });
    expect(beginHeld({})).toEqual({});
  });
});

describe("unheardBy()", () => {
  const heard = (holds: Holds | undefined): RunHeader => ({ ...baseHeader("o~s@1"), ...(holds && { holds }) });

  it.each<[string, Holds | undefined, RunHeader[], Holds]>([
    ["nothing is wrong", { o: { on: true, sequence: 3 } }, [outer({ ...paused, pauses: 3 })], {}],
    ["nobody was ever paused", undefined, [outer({})], {}],
    ["a pause was lost", undefined, [outer({ ...paused, pauses: 1 })], { o: { on: true, sequence: 1 } }],
    ["a pause of before the upgrade", undefined, [outer(paused)], { o: { on: true, sequence: 0 } }],
    ["its end was lost", { o: { on: true, sequence: 1 } }, [outer({ pauses: 2 })], { o: { on: false, sequence: 2 } }],
    [
      "an older program has resumed the run",
      { o: { on: true, sequence: 1 } },
      [outer({ pauses: 1 })],
      { o: { on: false, sequence: 1.5 } },
    ],
    ["the outer run is gone", { o: { on: true, sequence: 1 } }, [], { o: { on: false, sequence: 1.5 } }],
    [
      "the outer run has ended",
      { o: { on: true, sequence: 1 } },
      [outer({ status: "cancelled", pauses: 1 })],
      { o: { on: false, sequence: 1.5 } },
    ],
    ["what is gone holds nobody", { o: { on: false, sequence: 2 } }, [], {}],
  ])("%s", (_, holds, runs, expected) => {
    expect(unheardBy(heard(holds), runs)).toEqual(expected);
  });
});
