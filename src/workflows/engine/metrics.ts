import { type Histogram, metrics } from "@opentelemetry/api";
import { createTally, type Tally } from "../../telemetry/index.ts";

/** Counters and durations of runs and steps; the names in brackets are their labels, in order. */
export interface WorkflowMetrics {
  /** [workflow] */
  runsStarted: Tally;
  /** [workflow, status] */
  runsEnded: Tally;
  /** [type, status] */
  stepsEnded: Tally;
  /** [reason] */
  retries: Tally;
  /** [reason] */
  ignored: Tally;
  /** Commits that came too late and were made again. [] */
  conflicts: Tally;
  /** Effects that a process left and another carried out. [kind] */
  recovered: Tally;
  runSeconds: Histogram;
  stepSeconds: Histogram;
  /** How long people and signals let steps wait. */
  waitSeconds: Histogram;
  /** How late timers fire. */
  timerLagSeconds: Histogram;
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 86_400];

export function createWorkflowMetrics(): WorkflowMetrics {
  const tally = (name: string, description: string, ...labels: string[]) =>
    createTally(`cordum_workflow_${name}_total`, description, labels);
  const seconds = (name: string, description: string) =>
    metrics.getMeter("cordum").createHistogram(`cordum_workflow_${name}_seconds`, {
      description,
      unit: "s",
      advice: { explicitBucketBoundaries: buckets },
    });
  return {
    runsStarted: tally("runs_started", "Runs begun, by workflow.", "workflow"),
    runsEnded: tally("runs_completed", "Runs that have ended, by workflow and status.", "workflow", "status"),
    stepsEnded: tally("steps_completed", "Steps that have ended, by type and status.", "type", "status"),
    retries: tally("step_retries", "Attempts that are made again, by reason.", "reason"),
    ignored: tally("events_ignored", "Late, repeated or foreign reports, by reason.", "reason"),
    conflicts: tally("commit_conflicts", "Commits that were made again because another process was first."),
    recovered: tally("effects_recovered", "Effects that were owed for too long, by kind.", "kind"),
    runSeconds: seconds("run_duration", "From the start of a run to its end."),
    stepSeconds: seconds("step_duration", "From the start of a step to its end, retries included."),
    waitSeconds: seconds("step_wait", "How long approvals and signals were waited for."),
    timerLagSeconds: seconds("timer_lag", "How late timers fire."),
  };
}
