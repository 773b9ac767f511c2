import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Approval } from "@cordum/proto/cordum/v1/approval_pb.js";
import type { Clients } from "./connect.ts";

export interface FollowApprovalsOptions {
  tenant: string;
  topic: string;
  /** Ends the stream without an error. */
  signal: AbortSignal;
  /** Takes remarks: that the gateway has gone away. */
  note: (line: string) => void;
}

/**
 * The approvals that are pending, then every change, until `signal`. A gateway that goes away after it has once answered
 * is asked again twice a second; it then says again what is pending.
 */
export async function* followApprovals(
  approvals: Clients["approvals"],
  { tenant, topic, signal, note }: FollowApprovalsOptions,
): AsyncGenerator<Approval> {
  let answered = false;
  while (!signal.aborted) {
    try {
      for await (const { approval } of approvals.watchApprovals({ tenant, topic }, { signal })) {
        answered = true;
        if (approval !== undefined) yield approval;
      }
    } catch (reason) {
      if (signal.aborted) return;
      const { code } = ConnectError.from(reason);
      if (!answered || (code !== Code.Unavailable && code !== Code.Aborted)) throw reason;
    }
    if (signal.aborted) return;
    note("the stream has ended; asking for a new one");
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}
