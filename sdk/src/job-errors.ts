/**
 * Thrown by a handler to end its job as FAILED with a code of its own choice.
 * Any other error ends the job as FAILED with code `handler_error`.
 */
export class JobFailure extends Error {
  /** Stable, machine-readable, for example `card_declined`. Clients branch on it. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "JobFailure";
    this.code = code;
  }
}

/** Reason of an aborted signal: somebody cancelled the job. It ends as CANCELLED. */
export class JobCancelledError extends Error {
  constructor(reason: string) {
    super(reason === "" ? "the job was cancelled" : `the job was cancelled: ${reason}`);
    this.name = "JobCancelledError";
  }
}

/** Reason of an aborted signal: the job's time is over. It ends as TIMEOUT. */
export class JobDeadlineError extends Error {
  constructor(deadlineMs: number) {
    super(`the job did not end within ${deadlineMs} ms`);
    this.name = "JobDeadlineError";
  }
}

/** Reason of an aborted signal: the control plane has given the job to another worker. Nothing is reported. */
export class JobLostError extends Error {
  constructor(reason: string) {
    super(reason === "" ? "the job is no longer this worker's" : `the job is no longer this worker's: ${reason}`);
    this.name = "JobLostError";
  }
}

/** Reason of an aborted signal: the worker stops before the job ended, and gives it back to run elsewhere. */
export class JobHandedBackError extends Error {
  constructor() {
    super("the worker stops and gives the job back");
    this.name = "JobHandedBackError";
  }
}

/** Redis could not be read or written in spite of retries. The job goes back, to be tried again. */
export class PayloadStoreError extends Error {
  constructor(action: string, key: string, cause: unknown) {
    super(`cannot ${action} ${key}`, { cause });
    this.name = "PayloadStoreError";
  }
}
