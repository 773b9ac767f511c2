/**
 * Submits `count` jobs and calls `done` once for each when it is observed complete.
 * Rejects when a job is refused or ends badly.
 */
export type Submit = (count: number, done: () => void) => Promise<void>;

export interface LoadPlan {
  /** Jobs to run in all; undefined: as many as fit in `seconds`. */
  jobs?: number;
  /** Stop submitting after this time. Default: no limit. */
  seconds?: number;
  /** Jobs kept unfinished at any time. */
  inFlight: number;
  /** Jobs per call of `submit`, at most `inFlight`. */
  batch: number;
}

export interface LoadResult {
  completed: number;
  /** From the first submit to the last completion, milliseconds. */
  elapsedMs: number;
}

// A job of these benchmarks takes milliseconds: nothing at all for so long means that something was lost.
const stallMs = 30_000;

/** Keeps `inFlight` jobs unfinished until the plan is fulfilled and everything submitted has completed. */
export function runLoad(submit: Submit, { jobs = Number.POSITIVE_INFINITY, seconds, inFlight, batch }: LoadPlan) {
  return new Promise<LoadResult>((resolve, reject) => {
    const startMs = performance.now();
    const endMs = seconds === undefined ? Number.POSITIVE_INFINITY : startMs + seconds * 1000;
    let submitted = 0;
    let completed = 0;
    const watchdog = watchForStall(() => completed, fail);

    function fail(reason: unknown): void {
      clearInterval(watchdog);
      reject(reason);
    }
    function fill(): void {
      while (performance.now() < endMs) {
        const count = Math.min(batch, jobs - submitted);
        if (count === 0 || submitted - completed + count > inFlight) return;
        submitted += count;
        submit(count, done).catch(fail);
      }
    }
    function done(): void {
      completed += 1;
      fill();
      if (completed < submitted) return;
      clearInterval(watchdog);
      resolve({ completed, elapsedMs: performance.now() - startMs });
    }
    fill();
  });
}

/** Runs jobs one after the other. @returns the time of each from submit to observed completion, microseconds */
export async function runLone(submit: Submit, jobs: number): Promise<number[]> {
  const latenciesUs: number[] = [];
  for (let i = 0; i < jobs; i++) {
    const { elapsedMs } = await runLoad(submit, { jobs: 1, inFlight: 1, batch: 1 });
    latenciesUs.push(elapsedMs * 1000);
  }
  return latenciesUs;
}

function watchForStall(progress: () => number, fail: (reason: Error) => void): NodeJS.Timeout {
  let last = -1;
  return setInterval(() => {
    const now = progress();
    if (now === last) fail(new Error(`no job has completed for ${stallMs / 1000} s, after ${now} jobs`));
    last = now;
  }, stallMs);
}
