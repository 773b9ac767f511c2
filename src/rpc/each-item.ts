import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import { callKey } from "./call.ts";
import { codeName, isInternal, toConnectError } from "./errors.ts";

/** An item of a batch that came to nothing, as the response tells of it. */
export interface FailedItem {
  /** Connect error code, for example `invalid_argument`. After `unavailable` and `internal` it is not known what was done. */
  errorCode: string;
  /** Begins with the place of the item, for example `jobs[3]`. */
  errorMessage: string;
}

/**
 * Takes the items of a call which stand or fall alone, all at once.
 * @param list - the field that holds them, for messages
 * @returns one answer for each, in order: what came through is never lost because of what did not
 * @throws ConnectError when nothing came through and no item is to blame, so that the whole call may be repeated
 */
export async function eachItem<I, T>(
  items: readonly I[],
  list: string,
  context: Pick<HandlerContext, "values">,
  take: (item: I) => Promise<T>,
): Promise<(T | FailedItem)[]> {
  const settled = await Promise.allSettled(items.map(take));
  const errors = settled.map((item) => (item.status === "rejected" ? toConnectError(item.reason) : undefined));
  const ours = errors.filter((error) => error !== undefined).filter(isOurs);
  if (ours.length === items.length && ours.length > 0) throw ours.find(isInternal) ?? ours[0];
  context.values.get(callKey).faults?.push(...ours);
  return settled.map((item, at) => (item.status === "fulfilled" ? item.value : toFailed(errors[at], `${list}[${at}]`)));
}

function isOurs(error: ConnectError): boolean {
  return error.code === Code.Unavailable || isInternal(error);
}

function toFailed(error: ConnectError | undefined, place: string): FailedItem {
  const { code, rawMessage } = error ?? toConnectError(undefined);
  return { errorCode: codeName(code), errorMessage: `${place}: ${rawMessage}` };
}
