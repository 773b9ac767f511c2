/** Bus subjects and headers of docs/worker-protocol.md. */
export const subjects = {
  heartbeat: "sys.heartbeat",
  result: "sys.job.result",
  progress: "sys.job.progress",
  cancel: "sys.job.cancel",
  workerJobs: (workerId: string) => `worker.${workerId}.jobs`,
  workerHello: (workerId: string) => `worker.${workerId}.hello`,
};

export const headerNames = {
  attempt: "Cordum-Attempt",
  lease: "Cordum-Lease",
  outputTtl: "Cordum-Output-Ttl",
  jobs: "Cordum-Jobs",
  handback: "Cordum-Handback",
  traceparent: "traceparent",
};

/** Redis keys behind the pointers. */
export const keys = {
  output: (jobId: string, attempt: number) => (attempt > 1 ? `res:${jobId}#${attempt}` : `res:${jobId}`),
  artifact: (id: string) => `art:${id}`,
  artifactMeta: (id: string) => `art:meta:${id}`,
};

/** True for a name that a subject can hold as one token. */
export function isSubjectToken(name: string): boolean {
  return /^[^\s.*>]+$/.test(name);
}

/** True when `topic` is `pattern`, or matches it with NATS wildcards: `*` one token, a last `>` one or more. */
export function matchesTopic(pattern: string, topic: string): boolean {
  const expected = pattern.split(".");
  const tokens = topic.split(".");
  for (const [i, want] of expected.entries()) {
    if (want === ">" && i === expected.length - 1) return tokens.length > i;
    if (want !== "*" && want !== tokens[i]) return false;
    if (tokens[i] === undefined) return false;
  }
  return tokens.length === expected.length;
}
