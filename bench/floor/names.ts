/** Subjects, streams and keys of the floor. They mirror those of the platform, one for one. */
export const subjects = {
  submit: "floor.submit",
  result: "floor.result",
  worker: "floor.worker.w1.jobs",
  event: (jobId: string) => `floor.event.default.${jobId}`,
  events: "floor.event.>",
};

/** Work queues on files, each with one durable consumer that has the same name. */
export const streams = { submit: "FLOOR_SUBMIT", result: "FLOOR_RESULT" };

export const keys = {
  job: (jobId: string) => `{j00}:job:${jobId}`,
  events: (jobId: string) => `{j00}:job:${jobId}:events`,
  state: (state: string) => `{j00}:idx:state:${state}`,
  recent: "{j00}:idx:recent",
  tenant: "{j00}:idx:tenant:default",
  topic: "{j00}:idx:topic:job.bench",
  leases: "{j00}:leases",
  deadlines: "{j00}:deadlines",
  input: "ctx:floor",
  output: (jobId: string) => `res:${jobId}`,
};

/** Seconds that an output is kept. */
export const outputTtlSeconds = 86_400;
