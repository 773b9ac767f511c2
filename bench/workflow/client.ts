// Starts runs and sees their end. Besides the load of chains: single runs of any workflow, and runs that wait for a time.
import { RunStatus, type RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Json } from "../../src/workflows/index.ts";
import { CompletionBoard } from "../completion-board.ts";
import { type LoadPlan, runLoad, runLone } from "../load.ts";
import { serveRole } from "../role.ts";
import { definitions } from "./definitions.ts";
import { openRuns } from "./runs.ts";
import { createTimedRuns, type TimedPlan } from "./timed-runs.ts";

/** A run by itself. */
export interface OneRun {
  runId: string;
  /** From the start to the observed end. */
  elapsedMs: number;
}

const sampleSize = 100;
const board = new CompletionBoard();
const started: string[] = [];
const runs = await openRuns(see);
const timed = createTimedRuns((dueMs) => runs.start("timer", { until: new Date(dueMs).toISOString() }));
for (const [id, steps] of Object.entries(definitions)) await runs.define(id, steps);

const chainInput = { name: "Ada", text: "x".repeat(250) };

function see(transition: RunTransition): void {
  const { runId, to, from, workflowId, errorCode, errorMessage } = transition;
  if (to === from) return;
  if (workflowId === "timer") timed.see(transition);
  else if (to === RunStatus.SUCCEEDED) board.complete(runId);
  else if (to > RunStatus.SUCCEEDED) board.fail(runId, `${RunStatus[to]} ${errorCode} ${errorMessage}`);
}

async function startChains(count: number, done: () => void): Promise<void> {
  const ids = await Promise.all(Array.from({ length: count }, () => runs.start("chain", chainInput)));
  if (started.length < sampleSize || count === 1) started.push(...ids.slice(0, 1));
  await Promise.all(ids.map((id) => board.wait(id).then(done)));
}

/** One run, from its start to its observed end. */
async function runOnce(workflowId: string, input: { [name: string]: Json }): Promise<OneRun> {
  const startMs = performance.now();
  const runId = await runs.start(workflowId, input);
  await board.wait(runId);
  return { runId, elapsedMs: performance.now() - startMs };
}

const toItems = (count: number) => Array.from({ length: count }, (_, n) => ({ n, text: "x".repeat(100) }));

serveRole(
  {
    load: (plan) => runLoad(startChains, plan as LoadPlan),
    lone: (input) => runLone(startChains, (input as { jobs: number }).jobs),
    inline: () => runOnce("inline", {}),
    fan(input) {
      const { workflowId, items } = input as { workflowId: string; items: number };
      return runOnce(workflowId, { items: toItems(items) });
    },
    "start-timed": (plan) => timed.start(plan as TimedPlan),
    "settle-timed": (group) => timed.settle(group as string),
    verify: () => runs.verify(started.filter((_, i) => i % Math.ceil(started.length / sampleSize) === 0)),
  },
  () => runs.close(),
);
