import { fromBinary } from "@bufbuild/protobuf";
import { JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { subjects } from "../../bus/index.ts";
import { splitTransitions } from "../../jobs/index.ts";
import type { RunEvent } from "../core/state.ts";
import type { Engine } from "./engine.ts";
import type { EnginePorts } from "./ports.ts";
import { readJobOutput } from "./read-output.ts";

/**
 * Tells a run of the end of one of its jobs, as the job's record has it. Once it resolves with true the run has taken note,
 * or nobody waits for it; false: the job has not ended.
 * @param hintPtr - where the output probably is, so that it is read together with the record
 */
export async function reportStepEnd(engine: Engine, ports: EnginePorts, jobId: string, hintPtr = ""): Promise<boolean> {
  const name = parseStepJobId(jobId);
  const { redis, limits } = ports;
  const [end, hinted] = await Promise.all([
    ports.jobReader.end(jobId),
    readJobOutput(redis, { jobId, resultPtr: hintPtr }, limits.inlineBytes),
  ]);
  if (!end) return false; // whoever says otherwise is wrong, or the output is still to be looked at
  if (name) {
    const { state, resultPtr } = end;
    const isHinted = resultPtr === hintPtr;
    const read = () => (isHinted ? hinted : readJobOutput(redis, { jobId, resultPtr }, limits.inlineBytes));
    const output = state === "SUCCEEDED" ? await read() : undefined;
    const event: RunEvent = { kind: "job-ended", jobId, ...end, stepKey: name.stepKey, ...(output && { output }) };
    const outcome = await engine.apply(name.runId, event);
    if (outcome.kind === "ignored") ports.metrics.ignored.add(outcome.why);
  }
  ports.jobStore.published(jobId); // the job owes it until now, and says it again
  return true;
}

/**
 * Takes the ends of jobs that are steps, shared by all engines. A message is a hint: the record says whether and how the
 * job has ended. Nothing depends on a message, either: a job says its end again until `published`.
 */
export function startIntake(engine: Engine, ports: EnginePorts): { close(): Promise<void> } {
  const { bus, log } = ports;
  const working = new Set<Promise<unknown>>();

  function take(bytes: Uint8Array): void {
    const { jobId, resultPtr } = fromBinary(JobTransitionSchema, bytes);
    const work: Promise<unknown> = reportStepEnd(engine, ports, jobId, resultPtr)
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
