import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type {
  DispatchAnswer,
  IncomingDispatch,
  JobInFlight,
  JobReport,
  WorkerCarrier,
  WorkerState,
} from "../src/worker-carrier.ts";

/** Carries nothing: keeps what the worker says, and confirms results when told to. */
export class FakeCarrier implements WorkerCarrier {
  readonly heartbeats: { state: WorkerState; jobs: readonly JobInFlight[] }[] = [];
  readonly reports: JobReport[] = [];
  readonly closed = new Promise<undefined>(() => {});
  payload: () => Promise<string | undefined> = async () => "{}";
  #confirmations: (() => void)[] = [];
  #autoConfirm = true;

  /** From now on a result stays unconfirmed until `confirmAll`. */
  holdConfirmations(): void {
    this.#autoConfirm = false;
  }

  confirmAll(): void {
    for (const confirm of this.#confirmations.splice(0)) confirm();
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  progress(): void {}

  heartbeat(state: WorkerState, jobs: readonly JobInFlight[]): void {
    this.heartbeats.push({ state, jobs });
  }

  report(report: JobReport): Promise<void> {
    this.reports.push(report);
    if (this.#autoConfirm) return Promise.resolve();
    return new Promise((resolve) => this.#confirmations.push(resolve));
  }

  readPayload(): Promise<string | undefined> {
    return this.payload();
  }

  async writeOutput({ jobId }: JobInFlight): Promise<string> {
    return `redis://res:${jobId}`;
  }

  async writeArtifact(): Promise<string> {
    return "redis://art:1";
  }
}

/** A dispatch that remembers its answer. */
export function dispatchOf(
  job: Omit<MessageInitShape<typeof JobRequestSchema>, "$typeName">,
  attempt = 1,
): IncomingDispatch & { answers: DispatchAnswer[] } {
  const answers: DispatchAnswer[] = [];
  const request = create(JobRequestSchema, { topic: "job.hello", contextPtr: `redis://ctx:${job.jobId}`, ...job });
  return {
    answers,
    answer: (word) => answers.push(word),
    read: () => ({ request, attempt, traceId: "trace-1", traceparent: "" }),
  };
}
