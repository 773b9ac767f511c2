// Starts runs and sees their end. Besides the load of chains: single runs of any workflow, and runs that wait for a time.
import { setTimeout as sleep } from "node:timers/promises";
import { RunStatus, type RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";
import { CompletionBoard } from "../completion-board.ts";
import { type LoadPlan, runLoad, runLone } from "../load.ts";
import { roleArguments, serveRole } from "../role.ts";
import { definitions } from "./definitions.ts";
import { connectRuns } from "./runs.ts";
import { createTimedRuns, type TimedPlan } from "./timed-runs.ts";

/** A run by itself. */
export interface OneRun {
  runId: string;
  /** From the start to the observed end. */
  elapsedMs: number;
}

const sampleSize = 50;
const chainInput = { name: "Ada", text: "x".repeat(250) };
const toItems = (count: number) => Array.from({ length: count }, (_, n) => ({ n, text: "x".repeat(100) }));

const [gatewayUrl = "", apiKey = ""] = roleArguments(2);
const runs = connectRuns(gatewayUrl, apiKey);
const board = new CompletionBoard();
const timed = createTimedRuns((dueMs) => runs.start("timer", { until: new Date(dueMs).toISOString() }));
const stop = new AbortController();
const started: string[] = [];
let isFollowing = false;

for (const [id, steps] of Object.entries(definitions)) await runs.define(id, steps);
runs.follow(see, stop.signal).catch((error) => {
  if (!stop.signal.aborted) throw error; // without the stream no end of a run is ever seen
});
// The stream does not say from when on it tells of runs: one that it tells of does.
while (!isFollowing) {
  await runs.start("nothing", {});
  await sleep(100);
}

function see(transition: RunTransition): void {
  const { runId, to, workflowId, errorCode, errorMessage } = transition;
  if (workflowId === "nothing") isFollowing = true;
  else if (workflowId === "timer") timed.see(transition);
  else if (to === RunStatus.SUCCEEDED) board.complete(runId);
  else if (to > RunStatus.SUCCEEDED) board.fail(runId, `${RunStatus[to]} ${errorCode} ${errorMessage}`);
}

async function startChains(count: number, done: () => void): Promise<void> {
  const ids = count === 1 ? [await runs.start("chain", chainInput)] : await runs.startMany("chain", chainInput, count);
  started.push(...ids);
  await Promise.all(ids.map((id) => board.wait(id).then(done)));
}

/** One run, from its start to its observed end. */
async function runOnce(workflowId: string, input: object): Promise<OneRun> {
  const startMs = performance.now();
  const runId = await runs.start(workflowId, input);
  await board.wait(runId);
  return { runId, elapsedMs: performance.now() - startMs };
}

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
  async () => stop.abort(),
);
