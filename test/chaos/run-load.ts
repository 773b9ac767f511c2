import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { createClient } from "@cordum/sdk";
import { createAsk } from "./ask.ts";
import type { Random } from "./random.ts";
import { inputOf, type RunKind } from "./run-kinds.ts";

/** A run that a gateway has accepted. */
export interface AcceptedRun {
  runId: string;
  kind: string;
  /** Somebody asked to cancel it; true when the platform said that it is cancelled. */
  cancel?: boolean;
  /** Somebody asked to pause it. */
  wasPaused?: boolean;
}

export interface RunLoadOptions {
  gatewayUrls: readonly string[];
  apiKey: string;
  kinds: Record<string, RunKind>;
  runsPerSecond: number;
  random: Random;
  complain: (text: string) => void;
}

export interface RunLoad {
  readonly accepted: ReadonlyMap<string, AcceptedRun>;
  /** Starts nothing new. Resolves when what is under way was accepted or given up, and everybody has answered. */
  stop(): Promise<void>;
}

const tickMs = 100;
const maxCalls = 64;

/** A constant stream of runs, started, approved, signalled, and now and then paused or cancelled. */
export function startRunLoad(options: RunLoadOptions): RunLoad {
  const { gatewayUrls, apiKey, kinds, runsPerSecond, random, complain } = options;
  const clients = gatewayUrls.map((gateway) => createClient({ gateway, apiKey, principal: "chaos" }));
  const untilAnswered = createAsk(clients, random);
  const names = Object.entries(kinds).flatMap(([name, { weight }]) => Array<string>(weight).fill(name));
  const accepted = new Map<string, AcceptedRun>();
  const calls = new Set<Promise<void>>();
  let owed = 0;
  let isStopped = false;

  function begin(work: Promise<void>): void {
    const call = work
      .catch((error: unknown) => complain(`a client of runs got ${String(error)}`))
      .finally(() => calls.delete(call));
    calls.add(call);
  }

  async function startOne(): Promise<void> {
    const kind = random.pick(names);
    const idempotencyKey = randomUUID();
    const request = { workflowId: `chaos.${kind}`, input: inputOf(random), idempotencyKey };
    const answer = await untilAnswered(true, (client, call) => client.runs.startRun(request, call));
    if (!answer) return;
    const { runId } = answer;
    const run: AcceptedRun = { runId, kind };
    accepted.set(runId, run);
    if (random.chance(0.1)) begin(startAgain(request, runId));
    if (random.chance(0.05)) begin(cancelSoon(run));
    else if (random.chance(0.08)) begin(pauseForAWhile(run));
    const { approval, signal } = kinds[kind] ?? {};
    if (approval) begin(approve(run, approval));
    if (signal) begin(send(run, signal));
  }

  /** The same key again is the same run. */
  async function startAgain(
    request: Parameters<(typeof clients)[0]["runs"]["startRun"]>[0],
    runId: string,
  ): Promise<void> {
    await sleep(random.integer(0, 1_000));
    const answer = await untilAnswered(true, (client, call) => client.runs.startRun(request, call));
    if (answer && answer.runId !== runId) complain(`one key started two runs: ${runId} and ${answer.runId}`);
  }

  async function approve({ runId }: AcceptedRun, stepId: string): Promise<void> {
    await sleep(random.integer(0, 1_500));
    const vote = { runId, stepId, approved: true, reason: "chaos" };
    await mayBeLate(untilAnswered(true, (client, call) => client.runs.decideStep(vote, call)));
  }

  async function send({ runId }: AcceptedRun, name: string): Promise<void> {
    await sleep(random.integer(0, 1_500));
    const signal = untilAnswered(true, (client, call) => client.runs.signalRun({ id: runId, name }, call));
    await mayBeLate(signal, isUsedUp);
  }

  async function pauseForAWhile(run: AcceptedRun): Promise<void> {
    const { runId: id } = run;
    await sleep(random.integer(0, 500));
    run.wasPaused = true;
    await mayBeLate(untilAnswered(true, (client, call) => client.runs.pauseRun({ id }, call)));
    await sleep(random.integer(0, 1_000));
    await mayBeLate(untilAnswered(true, (client, call) => client.runs.resumeRun({ id }, call)));
  }

  async function cancelSoon(run: AcceptedRun): Promise<void> {
    await sleep(random.integer(0, 1_000));
    run.cancel = false;
    const answer = await mayBeLate(
      untilAnswered(true, (client, call) => client.runs.cancelRun({ id: run.runId, reason: "chaos" }, call)),
    );
    if (answer?.status === RunStatus.CANCELLED) run.cancel = true;
  }

  function tick(): void {
    owed += (runsPerSecond * tickMs) / 1_000;
    for (; owed >= 1 && calls.size < maxCalls; owed--) begin(startOne());
    owed = Math.min(owed, runsPerSecond);
  }

  const timer = setInterval(() => isStopped || tick(), tickMs);
  return {
    accepted,
    async stop() {
      isStopped = true;
      clearInterval(timer);
      while (calls.size > 0) await Promise.all(calls);
      for (const client of clients) client.close();
    },
  };
}

/** A call that was answered and repeated, or that came after the run's end, is refused; that is an answer, too. */
async function mayBeLate<T>(work: Promise<T>, isLate = (_: ConnectError) => false): Promise<T | undefined> {
  try {
    return await work;
  } catch (reason) {
    const error = ConnectError.from(reason);
    const { code } = error;
    if (isLate(error)) return undefined;
    if (code === Code.FailedPrecondition || code === Code.InvalidArgument || code === Code.PermissionDenied)
      return undefined;
    throw error;
  }
}

/** A signal whose answer was lost was taken, and the step that waited for it is done. */
function isUsedUp({ code, rawMessage }: ConnectError): boolean {
  return code === Code.NotFound && rawMessage.includes("no step waits");
}
