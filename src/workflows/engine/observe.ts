import { stepOfKey } from "../core/draft.ts";
import { terminalRuns, terminalSteps } from "../core/state.ts";
import type { Committed } from "./actor.ts";
import type { WorkflowMetrics } from "./metrics.ts";
import { traceRun, traceStep } from "./trace.ts";

/** Counts what a commit has brought to an end. */
export function observe(metrics: WorkflowMetrics, { before, loaded, changes }: Committed): void {
  const { header, workflow } = loaded;
  const { workflowId: name } = header;
  if (before.status === "pending" && header.startedAt !== undefined) metrics.runsStarted.add(name);
  for (const { type, data } of changes.events) {
    if (type === "step_retry_scheduled") metrics.retries.add(String(data?.reason ?? "failed"));
  }
  for (const [key, state] of changes.steps) {
    if (!terminalSteps.has(state.status)) continue;
    const step = stepOfKey(workflow, key);
    const type = step?.kind ?? "job";
    metrics.stepsEnded.add(type, state.status);
    if (state.startedAt === undefined || state.completedAt === undefined) continue;
    const seconds = (state.completedAt - state.startedAt) / 1_000;
    const isWait = type === "approval" || type === "signal";
    (isWait ? metrics.waitSeconds : metrics.stepSeconds).record(seconds, { type, status: state.status });
    traceStep(header, key, type, state);
  }
  if (!terminalRuns.has(header.status) || terminalRuns.has(before.status)) return;
  metrics.runsEnded.add(name, header.status);
  const { completedAt = 0, startedAt = completedAt } = header;
  metrics.runSeconds.record((completedAt - startedAt) / 1_000, { workflow: name, status: header.status });
  traceRun(header);
}
