import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type SubmitJobRequest, SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { createClient } from "@cordum/sdk";
import { createAsk } from "./ask.ts";
import type { JobKind } from "./kinds.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface LoadOptions {
  gatewayUrls: readonly string[];
  apiKey: string;
  kinds: Record<string, JobKind>;
  jobsPerSecond: number;
  random: Random;
  ledger: Ledger;
}

export interface Load {
  /** Submits nothing new. Resolves when what is under way was accepted or given up. */
  stop(): Promise<void>;
}

interface Submission {
  kind: string;
  request: SubmitJobRequest;
}

const tickMs = 50;
/** Calls at the same time; beyond, the load waits for the platform. */
const maxCalls = 64;
const batchSize = 20;

/** A constant stream of jobs, one by one and in batches, and now and then a cancel. */
export function startLoad(options: LoadOptions): Load {
  const { random, ledger, kinds } = options;
  const clients = options.gatewayUrls.map((gateway) => createClient({ gateway, apiKey: options.apiKey }));
  const untilAnswered = createAsk(clients, random);
  const names = Object.entries(kinds).flatMap(([name, { weight }]) => Array<string>(weight).fill(name));
  const calls = new Set<Promise<void>>();
  let owed = 0;
  let isStopped = false;

  function prepare(): Submission {
    const kind = random.pick(names);
    const { topic, workMs, deadlineMs = 0, labels = {} } = kinds[kind] as JobKind;
    const idempotencyKey = random.chance(0.8) ? randomUUID() : "";
    const context = fromJson(ValueSchema, { workMs: workMs(random) });
    const priority = random.pick(["interactive", "batch", "critical"]);
    const fields = { topic, priority, labels, idempotencyKey, context, deadlineMs: BigInt(deadlineMs) };
    return { kind, request: create(SubmitJobRequestSchema, fields) };
  }

  function begin(work: Promise<void>): void {
    const call = work
      .catch((error: unknown) => ledger.complain(`a client got ${String(error)}`))
      .finally(() => calls.delete(call));
    calls.add(call);
  }

  async function submitOne({ kind, request }: Submission): Promise<void> {
    const { idempotencyKey } = request;
    const answer = await untilAnswered(idempotencyKey !== "", (client, call) => client.jobs.submitJob(request, call));
    if (!answer) return;
    ledger.accept({ jobId: answer.jobId, kind, idempotencyKey, atMs: Date.now() });
    if (idempotencyKey !== "" && random.chance(0.1)) begin(submitAgain({ kind, request }));
    if (random.chance(0.06)) begin(cancelSoon(answer.jobId));
  }

  /** The same key again: the same job, or a refusal when the body is another one. */
  async function submitAgain({ kind, request }: Submission): Promise<void> {
    await sleep(random.integer(0, 2_000));
    const isOther = random.chance(0.3);
    const again = isOther ? { ...request, teamId: "another" } : request;
    const answer = await untilAnswered(true, (client, call) => client.jobs.submitJob(again, call)).catch((error) => {
      if (isOther && ConnectError.from(error).code === Code.AlreadyExists) return undefined;
      throw error;
    });
    if (answer && isOther) ledger.complain(`another body was accepted under key ${request.idempotencyKey}`);
    const { idempotencyKey } = request;
    if (answer) ledger.accept({ jobId: answer.jobId, kind, idempotencyKey, atMs: Date.now() });
  }

  async function submitBatch(batch: Submission[]): Promise<void> {
    for (const { request } of batch) request.idempotencyKey ||= randomUUID(); // only so may the call be repeated
    const jobs = batch.map(({ request }) => request);
    const answer = await untilAnswered(true, (client, call) => client.jobs.submitJobs({ jobs }, call));
    const unknown: Submission[] = [];
    for (const [index, submission] of batch.entries()) {
      const { jobId = "", errorCode, errorMessage } = answer?.results[index] ?? {};
      const { kind, request } = submission;
      if (answer === undefined || errorCode === "unavailable") unknown.push(submission);
      else if (jobId === "") ledger.complain(`a good job was refused in a batch: ${errorMessage}`);
      else ledger.accept({ jobId, kind, idempotencyKey: request.idempotencyKey, atMs: Date.now() });
    }
    if (answer === undefined || unknown.length === 0 || isStopped) return;
    await sleep(200);
    await submitBatch(unknown);
  }

  async function cancelSoon(jobId: string): Promise<void> {
    await sleep(random.integer(0, 1_000));
    ledger.cancelAsked(jobId);
    const answer = await untilAnswered(true, (client, call) => client.jobs.cancelJob({ jobId, reason: "chaos" }, call));
    if (answer?.state === JobState.CANCELLED && answer.reason === "") ledger.cancelConfirmed(jobId);
  }

  function tick(): void {
    owed += (options.jobsPerSecond * tickMs) / 1_000;
    while (owed >= 1 && calls.size < maxCalls) {
      const isBatch = owed >= 1 && random.chance(0.03);
      const count = isBatch ? batchSize : 1;
      owed -= count;
      const submissions = Array.from({ length: count }, prepare);
      const work = isBatch ? submitBatch(submissions) : submitOne(submissions[0] as Submission);
      begin(work);
    }
    owed = Math.min(owed, options.jobsPerSecond); // what could not be sent for a second is dropped
  }

  const timer = setInterval(() => isStopped || tick(), tickMs);
  return {
    async stop() {
      isStopped = true;
      clearInterval(timer);
      while (calls.size > 0) await Promise.all(calls);
      for (const client of clients) client.close();
    },
  };
}
