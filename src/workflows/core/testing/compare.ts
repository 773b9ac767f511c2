import { isDeepStrictEqual } from "node:util";
import type { Work } from "./reference.ts";
import type { WorldView } from "./world-view.ts";

/** Every step, unit and compensation is as the reference says, and so is the run. */
export function compareWithReference({ reference, store }: WorldView): void {
  const { header } = store;
  expectSame("the run", header.status, reference.status);
  expectSame("paused", header.paused ?? false, reference.isPaused && !reference.hasEnded);
  expectSame("held only", header.heldOnly ?? false, (header.paused ?? false) && !reference.isPausedItself);
  for (const { id, kind, branches } of store.workflow.steps) {
    const expected = reference.steps.get(id);
    const found = store.steps.get(id);
    expectSame(id, found?.status, expected?.status);
    if (!expected) continue;
    // Of a plain step the attempts are its own.
    if (expected.units.length === 0) expectWork(id, expected, store);
    else expectOutput(id, expected, store);
    const names = [...branches.keys()];
    for (const [at, unit] of expected.units.entries()) expectWork(`${id}[${names[at] ?? at}]`, unit, store);
    const begun = kind === "loop" ? expected.units.length : (found?.fan?.next ?? 0);
    expectSame(`units of ${id}`, begun, expected.units.length);
  }
  for (const [id, work] of reference.undoing) {
    expectSame(`${id}!undo`, store.steps.get(`${id}!undo`)?.status, work.status);
    expectSame(`attempts of ${id}!undo`, store.steps.get(`${id}!undo`)?.attempts, work.attempts);
  }
  const undone = [...store.steps.keys()].filter((key) => key.endsWith("!undo"));
  expectSame(
    "compensations",
    undone,
    [...reference.undoing.keys()].map((id) => `${id}!undo`),
  );
}

function expectWork(key: string, expected: Work, store: WorldView["store"]): void {
  expectSame(key, store.steps.get(key)?.status, expected.status);
  expectSame(`attempts of ${key}`, store.steps.get(key)?.attempts, expected.attempts);
  expectOutput(key, expected, store);
}

function expectOutput(key: string, expected: Work, store: WorldView["store"]): void {
  const found = store.outputs.get(key);
  expectSame(`output of ${key}`, found?.isInlined ? found.output : undefined, expected.output);
  expectSame(`pointer of ${key}`, found?.isInlined ? undefined : found?.resultPtr, expected.pointer);
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found === expected || isDeepStrictEqual(asJson(found), asJson(expected))) return;
  throw new Error(`${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
}

/** As it is stored: without prototypes. */
function asJson(value: unknown): unknown {
  return value !== null && typeof value === "object" ? JSON.parse(JSON.stringify(value)) : value;
}
