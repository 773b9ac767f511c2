import { DomainError } from "../errors/index.ts";
import type { StreamSubscription } from "./subscriber.ts";

/** Until the bus knows that we listen, or the caller has gone. @throws DomainError unavailable when the bus is lost */
export async function awaitReady({ ready }: StreamSubscription, signal: AbortSignal): Promise<void> {
  const gone = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await Promise.race([ready, gone]).catch((error: unknown) => {
    throw new DomainError("unavailable", "the bus was lost; subscribe again", { cause: error });
  });
}

/**
 * Waits for events; one promise for each response, not for each event. False when the caller has gone.
 * @throws DomainError why the hub has ended the subscription
 */
export async function hasEvents(subscription: StreamSubscription, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (subscription.hasMore) return true;
    if (subscription.ended) throw subscription.ended;
    await new Promise<void>((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      subscription.onWake(wake);
    });
  }
  return false;
}
