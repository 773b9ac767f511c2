import { fromBinary } from "@bufbuild/protobuf";
import { JobState, type JobTransition, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { subjects } from "../../bus/index.ts";
import { splitTransitions } from "../../jobs/index.ts";
import type { RunEvent } from "../core/state.ts";
import type { Engine } from "./engine.ts";
import type { EnginePorts } from "./ports.ts";
import { readJobOutput } from "./read-output.ts";

type EndState = Extract<RunEvent, { kind: "job-ended" }>["state"];

const endStates: Partial<Record<JobState, EndState>> = {
  [JobState.SUCCEEDED]: "SUCCEEDED",
  [JobState.FAILED]: "FAILED",
  [JobState.CANCELLED]: "CANCELLED",
  [JobState.TIMEOUT]: "TIMEOUT",
  [JobState.DENIED]: "DENIED",
};

/** How a job that is a step has ended. */
export interface StepEnd {
  jobId: string;
  state: EndState;
  resultPtr: string;
  errorCode: string;
  errorMessage: string;
}

/** Tells a run of the end of one of its jobs. Once it resolves the run has taken note, or nobody waits for it. */
export async function reportStepEnd(engine: Engine, ports: EnginePorts, end: StepEnd): Promise<void> {
  const { jobId, state, resultPtr } = end;
  const name = parseStepJobId(jobId);
  if (name) {
    const output =
      state === "SUCCEEDED"
        ? await readJobOutput(ports.redis, { jobId, resultPtr }, ports.limits.inlineBytes)
        : undefined;
    const event: RunEvent = { kind: "job-ended", ...end, stepKey: name.stepKey, ...(output && { output }) };
    const outcome = await engine.apply(name.runId, event);
    if (outcome.kind === "ignored") ports.metrics.ignored.add(outcome.why);
  }
  ports.jobStore.published(jobId); // the job owes it until now, and says it again
}

/**
 * Takes the ends of jobs that are steps, shared by all engines. Nothing depends on a message: a job says its end again
 * until `published`.
 */
export function startIntake(engine: Engine, ports: EnginePorts): { close(): Promise<void> } {
  const { bus, log } = ports;
  const working = new Set<Promise<void>>();

  function take(bytes: Uint8Array): void {
    const transition: JobTransition = fromBinary(JobTransitionSchema, bytes);
    const state = endStates[transition.to];
    if (!state) return;
    const { jobId, resultPtr, errorCode, errorMessage } = transition;
    const work = reportStepEnd(engine, ports, { jobId, state, resultPtr, errorCode, errorMessage })
      .catch((error) =>
        log.warn({ err: error, job_id: jobId }, "end of a step not taken note of yet; it is said again"),
      )
      .finally(() => working.delete(work));
    working.add(work);
  }

  const subscription = bus.connection.subscribe(subjects.stepEnds, {
    queue: "cordum-workflow-engine",
    callback: (error, message) => {
      if (error) return;
      try {
        for (const bytes of splitTransitions(message.data)) take(bytes);
      } catch (reason) {
        log.warn({ err: reason }, "ends of steps not read; they are said again");
      }
    },
  });
  return {
    async close() {
      if (!bus.connection.isClosed()) subscription.unsubscribe();
      await Promise.allSettled(working);
    },
  };
}

/** `<run>:<step>@<attempt>`; undefined for an id of another form. */
export function parseStepJobId(jobId: string): { runId: string; stepKey: string } | undefined {
  const colon = jobId.lastIndexOf(":");
  const at = jobId.lastIndexOf("@");
  if (colon <= 0 || at <= colon + 1) return undefined;
  return { runId: jobId.slice(0, colon), stepKey: jobId.slice(colon + 1, at) };
}
