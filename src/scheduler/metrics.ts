import { type Counter, type Histogram, metrics } from "@opentelemetry/api";

export interface SchedulerMetrics {
  received: Counter;
  dispatched: Counter;
  completed: Counter;
  denied: Counter;
  retried: Counter;
  resultsRefused: Counter;
  packetsRefused: Counter;
  answers: Counter;
  /** From record to dispatch, ms. */
  dispatchDelay: Histogram;
}

export function createSchedulerMetrics(): SchedulerMetrics {
  const meter = metrics.getMeter("cordum");
  return {
    received: meter.createCounter("cordum_scheduler_jobs_received_total", {
      description: "Submits taken from the bus.",
    }),
    dispatched: meter.createCounter("cordum_scheduler_jobs_dispatched_total", { description: "Dispatches, by topic." }),
    completed: meter.createCounter("cordum_scheduler_jobs_completed_total", {
      description: "Ends, by topic and status.",
    }),
    denied: meter.createCounter("cordum_scheduler_safety_denied_total", { description: "Jobs that policy denied." }),
    retried: meter.createCounter("cordum_scheduler_jobs_retried_total", { description: "Jobs taken back, by reason." }),
    resultsRefused: meter.createCounter("cordum_scheduler_results_refused_total", {
      description: "Results that changed nothing, by reason.",
    }),
    packetsRefused: meter.createCounter("cordum_scheduler_packets_refused_total", {
      description: "Packets that could not be used, by subject and reason.",
    }),
    answers: meter.createCounter("cordum_scheduler_dispatch_answers_total", {
      description: "Answers of workers to dispatches.",
    }),
    dispatchDelay: meter.createHistogram("cordum_scheduler_dispatch_delay_milliseconds", {
      description: "Time from a job's record to its dispatch.",
      unit: "ms",
    }),
  };
}
