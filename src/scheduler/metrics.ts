import { createTally, type Tally } from "../telemetry/index.ts";

/** Counters of the scheduler; the names in brackets are their labels, in order. */
export interface SchedulerMetrics {
  /** [topic] */
  received: Tally;
  /** [topic] */
  dispatched: Tally;
  /** [topic, status] */
  completed: Tally;
  /** [topic] */
  denied: Tally;
  /** [reason] */
  retried: Tally;
  /** [reason] */
  resultsRefused: Tally;
  /** [subject] */
  packetsRefused: Tally;
  /** [answer] */
  answers: Tally;
}

export function createSchedulerMetrics(): SchedulerMetrics {
  const tally = (name: string, description: string, ...labels: string[]) =>
    createTally(`cordum_scheduler_${name}_total`, description, labels);
  return {
    received: tally("jobs_received", "Submits taken from the bus.", "topic"),
    dispatched: tally("jobs_dispatched", "Dispatches, by topic.", "topic"),
    completed: tally("jobs_completed", "Ends, by topic and status.", "topic", "status"),
    denied: tally("safety_denied", "Jobs that policy denied.", "topic"),
    retried: tally("jobs_retried", "Jobs taken back, by reason.", "reason"),
    resultsRefused: tally("results_refused", "Results that changed nothing, by reason.", "reason"),
    packetsRefused: tally("packets_refused", "Packets that could not be used, by subject.", "subject"),
    answers: tally("dispatch_answers", "Answers of workers to dispatches.", "answer"),
  };
}
