interface Waiter {
  resolve: () => void;
  reject: (reason: Error) => void;
}

/**
 * Brings together who waits for a job's end and who hears of it, in whichever order they come: a job may end before
 * the answer to its submit has arrived.
 */
export class CompletionBoard {
  readonly #waiters = new Map<string, Waiter>();
  readonly #early = new Map<string, string | undefined>();

  complete(jobId: string): void {
    const waiter = this.#take(jobId);
    if (waiter) waiter.resolve();
    else this.#early.set(jobId, undefined);
  }

  fail(jobId: string, reason: string): void {
    const waiter = this.#take(jobId);
    if (waiter) waiter.reject(new Error(`job ${jobId}: ${reason}`));
    else this.#early.set(jobId, reason);
  }

  /** Resolves when the job has completed, rejects when it has failed. To be called once per job. */
  wait(jobId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.set(jobId, { resolve, reject });
      if (!this.#early.has(jobId)) return;
      const reason = this.#early.get(jobId);
      this.#early.delete(jobId);
      if (reason === undefined) this.complete(jobId);
      else this.fail(jobId, reason);
    });
  }

  #take(jobId: string): Waiter | undefined {
    const waiter = this.#waiters.get(jobId);
    this.#waiters.delete(jobId);
    return waiter;
  }
}
