/** Every subject of the bus. Ids become one token each: percent-encoded, dots and wildcards too. */
export const subjects = {
  submit: "sys.job.submit",
  result: "sys.job.result",
  deadLetter: "sys.job.dlq",
  progress: "sys.job.progress",
  cancel: "sys.job.cancel",
  heartbeat: "sys.heartbeat",
  workflowEvent: "sys.workflow.event",
  /** Ends of jobs that are steps of runs, for one of the workflow engines. */
  stepEnds: "sys.run.steps",
  /** Committed changes of the status of runs of a tenant, or of all tenants. */
  runEvents: (tenant?: string) => `evt.runs.${tenant === undefined ? "*" : encodeToken(tenant)}`,
  /** A configuration document has changed. */
  configChanged: "evt.config",
  /** The live policy bundles, or the shadow, may have changed. */
  policyEvents: "evt.policy",
  /** Where one worker takes its jobs. */
  worker: (workerId: string) => `worker.${workerId}.jobs`,
  /** Committed transitions of jobs of a tenant, or of all tenants. */
  jobEvents: (tenant?: string) => `evt.jobs.${tenant === undefined ? "*" : encodeToken(tenant)}`,
} as const;

/** Names of NATS headers. */
export const headerNames = {
  attempt: "Cordum-Attempt",
  lease: "Cordum-Lease",
  outputTtl: "Cordum-Output-Ttl",
  jobs: "Cordum-Jobs",
  handback: "Cordum-Handback",
  traceparent: "traceparent",
} as const;

const plainToken = /^[A-Za-z0-9_:@[\]-]+$/;

/** One subject token for any text; ids without dots, blanks or wildcards stand for themselves. */
export function encodeToken(text: string): string {
  if (plainToken.test(text)) return text;
  return encodeURIComponent(text).replace(/[.*!'()~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Whether a worker may be addressed by this id: one subject token, at most 200 characters. */
export function isWorkerId(text: string): boolean {
  return text.length <= 200 && /^[^\s.*>]+$/.test(text);
}

/** Whether a text is a topic: `job.` and further tokens, no blanks, no wildcards, at most 256 characters. */
export function isTopic(text: string): boolean {
  return text.length <= 256 && /^job(\.[^\s.*>/]+)+$/.test(text);
}

/** NATS subject matching: `*` is one token, a last `>` is one or more. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const found = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return index < found.length;
    if (index >= found.length || (token !== "*" && token !== found[index])) return false;
  }
  return wanted.length === found.length;
}
