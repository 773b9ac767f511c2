import { Code, type ConnectError } from "@connectrpc/connect";
import { codeName, toConnectError } from "./errors.ts";

/** An item of a batch that came to nothing, as the response tells of it. */
export interface FailedItem {
  /** Connect error code, for example `invalid_argument`. */
  errorCode: string;
  /** Begins with the place of the item, for example `jobs[3]`. */
  errorMessage: string;
}

/**
 * Takes the items of a call which stand or fall alone, all at once.
 * @param list - the field that holds them, for messages
 * @returns one answer for each, in order
 * @throws ConnectError when an item fails through a fault of ours, or all of them because something is away: then
 * there is nothing to tell of single items. While some come through, the others are told to be `unavailable`; who called
 * must know which.
 */
export async function eachItem<I, T>(
  items: readonly I[],
  list: string,
  take: (item: I) => Promise<T>,
): Promise<(T | FailedItem)[]> {
  const settled = await Promise.allSettled(items.map(take));
  const errors = settled.map((item) => (item.status === "rejected" ? toConnectError(item.reason) : undefined));
  const fault = errors.find((error) => error?.code === Code.Internal);
  if (fault) throw fault;
  if (errors[0] && errors.every((error) => error?.code === Code.Unavailable)) throw errors[0];
  return settled.map((item, at) => (item.status === "fulfilled" ? item.value : toFailed(errors[at], `${list}[${at}]`)));
}

function toFailed(error: ConnectError | undefined, place: string): FailedItem {
  const { code, rawMessage } = error ?? toConnectError(undefined);
  return { errorCode: codeName(code), errorMessage: `${place}: ${rawMessage}` };
}
