import type { Logger } from "pino";
import type { JobReader } from "../jobs/index.ts";

/** Whose a job is, and of which topic. Neither ever changes. */
export interface JobOwner {
  tenant: string;
  topic: string;
}

/** Tells the owners of jobs whose packets name only the job. */
export interface JobOwners {
  /** Remembers what a committed transition says. */
  learn(jobId: string, owner: JobOwner): void;
  /** Remembers what a request claims, unless something is known already. */
  learnClaim(jobId: string, owner: JobOwner): void;
  /** Calls back at once when the owner is known, else after one read for all that are asked about meanwhile. */
  ask(jobId: string, then: (owner: JobOwner) => void): void;
}

export interface JobOwnersOptions {
  reader: Pick<JobReader, "getMany">;
  log: Logger;
  /** Owners kept; the oldest go first. About 200 bytes each. */
  maxKept?: number;
}

/** Questions that may wait for a read. More are left without an answer: the packets are best effort. */
const maxWaiting = 10_000;
const maxPerRead = 500;

export function createJobOwners({ reader, log, maxKept = 50_000 }: JobOwnersOptions): JobOwners {
  const known = new Map<string, JobOwner>();
  const waiting = new Map<string, ((owner: JobOwner) => void)[]>();
  let questions = 0;
  let reading = false;

  function keep(jobId: string, owner: JobOwner): void {
    if (known.size >= maxKept) {
      for (const oldest of known.keys()) {
        known.delete(oldest);
        break;
      }
    }
    known.set(jobId, owner);
  }

  async function readWaiting(): Promise<void> {
    while (waiting.size > 0) {
      const asked = [...waiting.entries()].slice(0, maxPerRead);
      for (const [jobId, callbacks] of asked) {
        waiting.delete(jobId);
        questions -= callbacks.length;
      }
      const records = await reader.getMany(asked.map(([jobId]) => jobId));
      for (const { id, tenant, topic } of records) keep(id, { tenant, topic });
      for (const [jobId, callbacks] of asked) {
        const owner = known.get(jobId);
        if (owner) for (const callback of callbacks) callback(owner);
      }
    }
  }

  function startReading(): void {
    if (reading) return;
    reading = true;
    // At the end of this turn of the event loop: one read then answers all that came with it.
    setImmediate(() => {
      readWaiting()
        .catch((error: unknown) =>
          log.warn({ err: error }, "owners of jobs could not be read; their packets are not shown"),
        )
        .finally(() => {
          reading = false;
          if (waiting.size > 0) startReading(); // asked while the last read failed
        });
    });
  }

  return {
    learn: keep,
    learnClaim(jobId, owner) {
      if (!known.has(jobId)) keep(jobId, owner);
    },
    ask(jobId, then) {
      const owner = known.get(jobId);
      if (owner) {
        then(owner);
        return;
      }
      if (questions >= maxWaiting) return;
      questions++;
      const callbacks = waiting.get(jobId);
      if (callbacks) callbacks.push(then);
      else waiting.set(jobId, [then]);
      startReading();
    },
  };
}
