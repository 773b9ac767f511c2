export interface MessageHooks<T> {
  /** Sees each message before it goes on; a throw ends the stream. */
  each?: (message: T) => void;
  /** Replaces a failure of the source by throwing another. */
  fail?: (reason: unknown) => never;
  /** Called when the source ends well; a throw ends the stream as failed. */
  atEnd?: () => void;
}

/**
 * Hooks into a stream of messages. Hand-written rather than an async generator: a generator costs several promises a
 * message, and streams are the hot path.
 */
export function mapMessages<T>(source: AsyncIterable<T>, { each, fail, atEnd }: MessageHooks<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      const pass = (result: IteratorResult<T>): IteratorResult<T> => {
        if (result.done) atEnd?.();
        else each?.(result.value);
        return result;
      };
      return {
        next: () => iterator.next().then(pass, fail),
        return: (value) => iterator.return?.(value) ?? Promise.resolve({ done: true, value }),
        throw: (reason) => iterator.throw?.(reason) ?? Promise.reject(reason),
      };
    },
  };
}
