import { defaultLimits } from "../draft.ts";
import type { RunEvent } from "../state.ts";
import { Genes } from "./genes.ts";
import { checkEnd } from "./invariants.ts";
import type { KeptTimer } from "./memory-store.ts";
import type { RandomWorkflow } from "./random-workflow.ts";
import { type Report, requester, World } from "./world.ts";
import type { WorldOptions } from "./world-view.ts";

/** Lives through a run as the numbers say, then goes on with whatever is left until nothing is. */
export function runHistory(random: RandomWorkflow, numbers: readonly number[]): World {
  const genes = new Genes(numbers);
  const world = new World(random, optionsOf(genes));
  if (!genes.oneIn(5)) world.apply({ kind: "start" });
  while (!genes.isUsedUp) act(world, genes);
  goOnToTheEnd(world);
  checkEnd(world);
  return world;
}

function optionsOf(genes: Genes): WorldOptions {
  const isWhole = !genes.oneIn(4);
  const few = { unitsPerCommit: 1 + genes.below(2), stepsPerCommit: 1 + genes.below(3) };
  return {
    isDry: genes.oneIn(8),
    isNested: genes.oneIn(5),
    isWhole,
    limits: { ...defaultLimits, maxSignals: 3, ...(!isWhole && few) },
    memory: genes.pick(["as before", "nothing", "everything"]),
    isCompared: genes.oneIn(3),
    defaults: genes.oneIn(6) ? { runTimeoutMs: 60_000, stepTimeoutMs: 4_000, maxRetries: 1 } : {},
  };
}

/** One thing that happens. */
function act(world: World, genes: Genes): void {
  const what = genes.below(10);
  if (what < 2) performOne(world, genes);
  else if (what === 2) {
    const events = Array.from({ length: 2 + genes.below(3) }, () => eventOf(world, genes));
    tell(world, genes, events);
  } else if (what === 3) goOnElsewhere(world, genes);
  else tell(world, genes, [eventOf(world, genes)]);
}

/** Another replica has decided and not written yet; or it writes, or it is gone. */
function goOnElsewhere(world: World, genes: Genes): void {
  const { underWay } = world;
  if (underWay.length < 2) underWay.push(world.begin([eventOf(world, genes)]));
  else if (genes.oneIn(3)) world.crash();
  else for (const attempt of underWay.splice(genes.below(2), 1)) world.finish(attempt);
}

/** Who says that something has ended says it until it has been taken note of, and that may get lost, too. */
function tell(world: World, genes: Genes, events: RunEvent[]): void {
  world.apply(...events);
  if (genes.oneIn(8)) return;
  for (const event of events) {
    const at = world.unsaid.indexOf(event as Report);
    if (at >= 0) world.unsaid.splice(at, 1);
  }
}

function performOne(world: World, genes: Genes): void {
  const owed = [...world.store.owed.values()];
  const effect = owed[genes.below(Math.max(1, owed.length))];
  if (!effect) return;
  const isDone = world.perform(effect, genes, genes.oneIn(6));
  const isLost = genes.oneIn(6); // a crash before it was noted
  if (isDone && !isLost) world.store.owed.delete(effect.id);
}

const states = ["SUCCEEDED", "SUCCEEDED", "FAILED", "SUCCEEDED", "TIMEOUT", "DENIED", "FAILED", "CANCELLED"] as const;

function eventOf(world: World, genes: Genes): RunEvent {
  const { store, unsaid, said } = world;
  switch (genes.below(14)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const atWork = [...world.outside.values()].filter(({ isAtWork }) => isAtWork);
      const one = atWork[genes.below(Math.max(1, atWork.length))];
      if (one) world.end(one, genes.pick(states), genes);
      const report = unsaid[one ? unsaid.length - 1 : 0];
      if (report) said.push(report);
      return report ?? { kind: "go-on" };
    }
    case 4:
      return unsaid[genes.below(Math.max(1, unsaid.length))] ?? { kind: "start" };
    case 5:
      return said[genes.below(Math.max(1, said.length))] ?? { kind: "go-on" };
    case 6:
    case 7:
    case 8:
      return timerOf(world, genes);
    case 9:
    case 10: {
      const waiting = store.workflow.steps.filter(({ kind }) => kind === "approval");
      const stepKey = waiting[genes.below(Math.max(1, waiting.length))]?.id ?? "ghost";
      return vote(stepKey, genes.pick([requester, "bob", "eve"]), !genes.oneIn(5));
    }
    case 11:
      return { kind: "signal", name: genes.pick(["go", "stop"]), payload: genes.below(3), by: "bob" };
    case 12:
      if (genes.oneIn(6)) return { kind: "cancel", reason: "", by: "bob" };
      if (genes.oneIn(3)) {
        const by = genes.pick(["outer", "outermost"]);
        return { kind: "hold", by, on: genes.oneIn(2), sequence: genes.below(6) };
      }
      return store.header.paused || genes.oneIn(6) ? { kind: "resume", by: "bob" } : { kind: "pause", by: "bob" };
    default:
      return strayOf(world, genes);
  }
}

export function vote(stepKey: string, principal: string, approved: boolean): RunEvent {
  const about = { principal, role: "", keyId: "", approved, reason: "", note: "", at: 0 };
  return { kind: "decide", stepKey, vote: about };
}

/** A timer in time, before it, or one that nobody has set. */
function timerOf(world: World, genes: Genes): RunEvent {
  const timers = [...world.store.timers.values()].sort((a, b) => a.dueMs - b.dueMs);
  const { steps } = world.store.workflow;
  const timer = timers[genes.below(Math.max(1, timers.length))];
  const how = genes.below(6);
  if (!timer || how === 5) {
    const id = steps[genes.below(Math.max(1, steps.length))]?.id ?? "ghost";
    return { kind: "timer", stepKey: genes.pick([id, `${id}[0]`, `${id}!undo`]), timer: genes.pick(["retry", "due"]) };
  }
  if (how < 4) world.nowMs = Math.max(world.nowMs, timer.dueMs + genes.below(2));
  return { kind: "timer", stepKey: timer.stepKey, timer: timer.kind };
}

/** Something that no run has asked for. */
function strayOf({ store }: World, genes: Genes): RunEvent {
  const { steps } = store.workflow;
  const id = steps[genes.below(Math.max(1, steps.length))]?.id ?? "ghost";
  const stepKey = genes.pick([id, "ghost", `${id}[0]`, `${id}[9]`, `${id}!undo`, `${id}[left]`]);
  const jobId = `r1:${stepKey}@${genes.oneIn(2) ? "1-retry-ab12cd34" : 4 + genes.below(3)}`; // nothing has 4 attempts
  if (genes.oneIn(3)) return { kind: "run-ended", stepKey, runId: `r1~${stepKey}@4`, status: "succeeded" };
  const about = { resultPtr: "", errorCode: "", errorMessage: "" };
  return { kind: "job-ended", stepKey, jobId, state: "SUCCEEDED", ...about };
}

const mostRounds = 3_000;

function goOnToTheEnd(world: World): void {
  const { store, unsaid } = world;
  const genes = new Genes([]);
  for (const attempt of world.underWay.splice(0)) world.finish(attempt);
  for (let round = 0; round < mostRounds; round++) {
    const owed = [...store.owed.values()];
    const done = owed.filter((effect) => world.perform(effect, genes));
    for (const { id } of done) store.owed.delete(id);
    if (done.length > 0) continue;
    const report = unsaid.shift();
    if (report) world.apply(report);
    else if (owed.length > 0) world.nowMs += 31_000;
    else if (world.hasEnded) return;
    else if (!goOn(world, genes))
      throw new Error(`the run is ${store.header.status} ${store.header.letters} and hangs`);
  }
  throw new Error("the run does not come to an end");
}

/** Does what the run waits for. False when it waits for nothing. */
function goOn(world: World, genes: Genes): boolean {
  const { store, outside } = world;
  const atWork = [...outside.values()].find(({ isAtWork }) => isAtWork);
  const waiting = store.workflow.steps.find(({ index }) => store.header.letters[index] === "w");
  const [next] = [...store.timers.values()].sort((a, b) => a.dueMs - b.dueMs);
  if (atWork) world.end(atWork, "SUCCEEDED", genes);
  else if (store.header.paused && !store.header.heldOnly) world.apply({ kind: "resume", by: "" });
  else if (store.header.paused) {
    const holder = Object.entries(store.header.holds ?? {}).find(([, { on }]) => on)?.[0] ?? "";
    world.apply({ kind: "hold", by: holder, on: false, sequence: 100 });
  } else if (waiting?.kind === "approval") {
    const { votes = [] } = store.steps.get(waiting.id) ?? {};
    world.apply(vote(waiting.id, `voter ${votes.length}`, true));
  } else if (waiting) world.apply({ kind: "signal", name: waiting.document.signal ?? waiting.id, payload: 1, by: "" });
  else if (next) fire(world, next);
  else return false;
  return true;
}

function fire(world: World, { stepKey, kind, dueMs }: KeptTimer): void {
  world.nowMs = Math.max(world.nowMs, dueMs);
  world.apply({ kind: "timer", stepKey, timer: kind });
}
