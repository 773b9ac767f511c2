/** A step that is made again and again, until it is closed. */
export interface LoopOptions {
  /** True when there may be more to do: the next step follows at once. */
  step: () => Promise<boolean>;
  /** Between two steps, ms. */
  intervalMs: number;
  /** A step has failed; the next one comes all the same. */
  onError: (error: unknown) => void;
}

/** Makes the first step after one interval. @returns how to end it: takes no new step and waits for the one that is made */
export function startLoop({ step, intervalMs, onError }: LoopOptions): () => Promise<void> {
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    let hasMore = false;
    try {
      hasMore = await step();
    } catch (error) {
      onError(error);
    }
    next(hasMore ? 0 : intervalMs);
  }

  function next(afterMs: number): void {
    if (isClosed) return;
    timer = setTimeout(() => {
      working = run();
    }, afterMs);
  }

  next(intervalMs);
  return async () => {
    isClosed = true;
    clearTimeout(timer);
    await working;
  };
}
