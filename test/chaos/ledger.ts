/** A job that a gateway has accepted. */
export interface Accepted {
  jobId: string;
  kind: string;
  /** Empty when it was submitted without. */
  idempotencyKey: string;
  /** When the answer came, ms since the epoch. */
  atMs: number;
}

/** What the clients of a run were told. The checker holds the platform to it. */
export interface Ledger {
  readonly accepted: ReadonlyMap<string, Accepted>;
  /** Jobs that somebody tried to cancel; true when the platform said that they are cancelled. */
  readonly cancels: ReadonlyMap<string, boolean>;
  /** What the clients noticed themselves, such as two jobs for one key. */
  readonly complaints: readonly string[];
  accept(job: Accepted): void;
  cancelAsked(jobId: string): void;
  cancelConfirmed(jobId: string): void;
  complain(text: string): void;
  /** The jobs accepted last, newest last. */
  recent(count: number): Accepted[];
}

export function createLedger(): Ledger {
  const accepted = new Map<string, Accepted>();
  const inOrder: Accepted[] = [];
  const jobOfKey = new Map<string, string>();
  const cancels = new Map<string, boolean>();
  const complaints: string[] = [];
  return {
    accepted,
    cancels,
    complaints,
    accept(job) {
      const { jobId, idempotencyKey: key } = job;
      const first = jobOfKey.get(key);
      if (key !== "" && first !== undefined && first !== jobId) {
        complaints.push(`idempotency key ${key} stands for two jobs: ${first} and ${jobId}`);
      }
      if (key !== "") jobOfKey.set(key, jobId);
      if (accepted.has(jobId)) return;
      accepted.set(jobId, job);
      inOrder.push(job);
    },
    cancelAsked: (jobId) => void (cancels.has(jobId) || cancels.set(jobId, false)),
    cancelConfirmed: (jobId) => void cancels.set(jobId, true),
    complain: (text) => void complaints.push(text),
    recent: (count) => inOrder.slice(-count),
  };
}
