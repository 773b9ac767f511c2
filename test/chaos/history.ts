import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Job, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import type { CordumClient } from "@cordum/sdk";
import type { JobStateName } from "../../src/jobs/index.ts";

/** One line of a job's transition log. */
export interface LoggedMove {
  state: JobStateName;
  /** Microseconds since the epoch. */
  atUs: number;
  attempt: number;
  worker: string;
  reason: string;
}

/** What the handlers of the chaos workers return. */
export interface ChaosResult {
  jobId: string;
  worker: string;
  /** The attempt under which the handler began. */
  begunAs: number;
}

/** All that the API says of one job. */
export interface JobHistory {
  state: JobStateName;
  topic: string;
  /** Dispatches without those that were given back unstarted. */
  attempts: number;
  errorCode: string;
  idempotencyKey: string;
  createdAtUs: number;
  updatedAtUs: number;
  result: ChaosResult | undefined;
  log: LoggedMove[];
}

/** Undefined for a job that the platform does not know. */
export async function readHistory({ jobs }: CordumClient, jobId: string): Promise<JobHistory | undefined> {
  try {
    const [{ job }, { events }] = await Promise.all([jobs.getJob({ jobId }), jobs.listJobEvents({ jobId })]);
    if (!job) return undefined;
    const log = events.map(({ state, at, attempt, workerId, reason }) => {
      return { state: JobState[state] as JobStateName, atUs: Number(at), attempt, worker: workerId, reason };
    });
    return { ...toHistory(job), log };
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  }
}

function toHistory(job: Job): Omit<JobHistory, "log"> {
  const { topic, attempts, errorCode, idempotencyKey, createdAt, updatedAt } = job;
  return {
    state: JobState[job.state] as JobStateName,
    topic,
    attempts,
    errorCode,
    idempotencyKey,
    createdAtUs: Number(createdAt),
    updatedAtUs: Number(updatedAt),
    result: job.result && (toJson(ValueSchema, job.result) as unknown as ChaosResult),
  };
}

/** Reads the histories of many jobs, some at a time. */
export async function readHistories(client: CordumClient, ids: Iterable<string>): Promise<Map<string, JobHistory>> {
  const histories = new Map<string, JobHistory>();
  const left = [...ids];
  const readSome = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const history = await readHistory(client, id);
      if (history) histories.set(id, history);
    }
  };
  await Promise.all(Array.from({ length: 32 }, readSome));
  return histories;
}

/** The first ids of jobs that have not ended, of whoever submitted them. */
export async function findUnended({ jobs }: CordumClient): Promise<string[]> {
  const found = await Promise.all(
    openStates.map(async (state) => {
      const { items } = await jobs.listJobs({ state, pageSize: 20 }, { timeoutMs: 5_000 });
      return items.map(({ id }) => id);
    }),
  );
  return found.flat();
}

const openStates = [
  JobState.PENDING,
  JobState.APPROVAL_REQUIRED,
  JobState.SCHEDULED,
  JobState.DISPATCHED,
  JobState.RUNNING,
];
