import { fromBinary } from "@bufbuild/protobuf";
import { type JobTransition, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { subjects } from "../../bus/index.ts";
import { splitTransitions } from "../../jobs/index.ts";
import type { RunEvent } from "../core/state.ts";
import type { Engine } from "./engine.ts";
import type { EnginePorts } from "./ports.ts";
import { readJobOutput, resultKeyOf } from "./read-output.ts";
import { parseStepJobId } from "./step-job-id.ts";

/**
 * Tells a run of the end of one of its jobs, as the job's record has it. Once it resolves with true the run has taken note,
 * or nobody waits for it; false: the job has not ended.
 * @param hintPtr - where the output probably is, so that it is read together with the record
 */
export async function reportStepEnd(engine: Engine, ports: EnginePorts, jobId: string, hintPtr = ""): Promise<boolean> {
  const name = parseStepJobId(jobId);
  const { redis, limits } = ports;
  const read = await ports.jobReader.end(jobId, resultKeyOf(jobId, hintPtr));
  if (!read) return false; // whoever says otherwise is wrong, or the output is still to be looked at
  if (name) {
    const { end } = read;
    const { state, resultPtr } = end;
    const known = resultPtr === hintPtr ? read.output : "";
    const output =
      state === "SUCCEEDED" ? await readJobOutput(redis, { jobId, resultPtr, known }, limits.inlineBytes) : undefined;
    const event: RunEvent = { kind: "job-ended", jobId, ...end, stepKey: name.stepKey, ...(output && { output }) };
    if (output && !output.isInlined && output.resultPtr?.startsWith(resultScheme)) {
      // Later steps, reruns and people follow the pointer as long as there is the run.
      await redis.pexpire(output.resultPtr.slice("redis://".length), ports.largeOutputTtlMs, "GT");
    }
    const outcome = await engine.apply(name.runId, event);
    if (outcome.kind === "ignored") ports.metrics.ignored.add(outcome.why);
  }
  ports.jobStore.published(jobId); // the job owes it until now, and says it again
  return true;
}

/** Ends at work at once: each may come with an output of some size. */
const maxAtOnce = 512;
const maxWaiting = 20_000;
const resultScheme = "redis://res:";

/**
 * Takes the ends of jobs that are steps, shared by all engines. A message is a hint: the record says whether and how the
 * job has ended. Nothing depends on a message, either: a job says its end again until `published`.
 */
export function startIntake(engine: Engine, ports: EnginePorts): { close(): Promise<void> } {
  const { bus, log } = ports;
  const working = new Set<Promise<unknown>>();
  const waiting: JobTransition[] = [];

  function take(bytes: Uint8Array): void {
    if (waiting.length >= maxWaiting) return; // it is said again
    waiting.push(fromBinary(JobTransitionSchema, bytes));
    if (working.size < maxAtOnce) takeNext();
  }

  function takeNext(): void {
    const next = waiting.shift();
    if (!next) return;
    const { jobId, resultPtr } = next;
    const work: Promise<unknown> = reportStepEnd(engine, ports, jobId, resultPtr)
      .catch((error) =>
        log.warn({ err: error, job_id: jobId }, "end of a step not taken note of yet; it is said again"),
      )
      .finally(() => {
        working.delete(work);
        takeNext();
      });
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
      waiting.length = 0;
      await Promise.allSettled(working);
    },
  };
}
