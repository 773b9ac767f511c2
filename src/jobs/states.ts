/** Names of job states, as they are stored and shown. */
export const jobStates = [
  "PENDING",
  "APPROVAL_REQUIRED",
  "SCHEDULED",
  "DISPATCHED",
  "RUNNING",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
  "TIMEOUT",
  "DENIED",
] as const;

export type JobStateName = (typeof jobStates)[number];
export type TerminalState = "SUCCEEDED" | "FAILED" | "CANCELLED" | "TIMEOUT" | "DENIED";

/**
 * Every move a job may make. PENDING from SCHEDULED is a job that waited for a worker and that policy, which has changed
 * meanwhile, throttles now. SCHEDULED from DISPATCHED and RUNNING is a job that came back: refused by its worker, handed
 * back, or left behind by a worker that died. DISPATCHED to itself is the next worker after one that refused.
 */
export const transitions: Record<JobStateName, readonly JobStateName[]> = {
  PENDING: ["PENDING", "APPROVAL_REQUIRED", "SCHEDULED", "DISPATCHED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED"],
  APPROVAL_REQUIRED: ["PENDING", "SCHEDULED", "DISPATCHED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED"],
  SCHEDULED: [
    "PENDING",
    "SCHEDULED",
    "APPROVAL_REQUIRED",
    "DISPATCHED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "DENIED",
    "SUCCEEDED",
  ],
  DISPATCHED: ["SCHEDULED", "DISPATCHED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED"],
  RUNNING: ["SCHEDULED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED"],
  SUCCEEDED: [],
  FAILED: [],
  CANCELLED: [],
  TIMEOUT: [],
  DENIED: [],
};

/** Whether `to` may follow `from`. */
export function canMove(from: JobStateName, to: JobStateName): boolean {
  return transitions[from].includes(to);
}

export function isTerminal(state: JobStateName): state is TerminalState {
  return transitions[state].length === 0;
}

export function isJobState(text: string): text is JobStateName {
  return (jobStates as readonly string[]).includes(text);
}

/** The table as a Lua literal, `{PENDING={SCHEDULED=true,...},...}`. */
export function transitionsAsLua(): string {
  const rows = jobStates.map((from) => `${from}={${transitions[from].map((to) => `${to}=true`).join(",")}}`);
  return `{${rows.join(",")}}`;
}
