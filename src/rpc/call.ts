import { randomUUID } from "node:crypto";
import { type Code, type ConnectError, createContextKey } from "@connectrpc/connect";

/** What the server notes about one HTTP request while it serves it. */
export interface Call {
  /** From `x-request-id`, or made here. Echoed in the response and written to the log. */
  readonly requestId: string;
  readonly remoteAddress: string;
  /** HTTP method. */
  readonly verb: string;
  /** Route template or RPC name, never the raw path: it is a metric label. */
  route: string;
  /** Set when the call failed, also where HTTP says 200, as gRPC does. */
  code?: Code;
  /** Reason of the domain error that failed it. */
  reason?: string;
  tenant?: string;
  keyId?: string;
  /** Failures of ours that single items of the call were told of; logged at its end. */
  readonly faults?: ConnectError[];
}

const noCall: Call = { requestId: "", remoteAddress: "", verb: "", route: "" };

/** The call that a handler serves. */
export const callKey = createContextKey<Call>(noCall, { description: "call" });

/** An id that fits in one log field and one header, whatever the client sent. */
const safeRequestId = /^[\w.:@/+=-]{1,128}$/;

export function requestIdOf(presented: string | string[] | undefined): string {
  return typeof presented === "string" && safeRequestId.test(presented) ? presented : randomUUID();
}
