import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { StreamEvent, SubscribeRequestSchema } from "@cordum/proto/cordum/v1/stream_pb.js";
import type { Clients } from "./connect.ts";

export interface FollowStreamOptions {
  /** Ends the stream without an error. */
  signal: AbortSignal;
  /** Takes remarks: what was lost, and that the gateway has gone away. */
  note: (line: string) => void;
}

/**
 * Packets and transitions as they happen, until `signal`. A gateway that goes away after it has once answered is asked
 * again twice a second; what happens in between is not seen, which is noted.
 */
export async function* followStream(
  stream: Clients["stream"],
  request: MessageInitShape<typeof SubscribeRequestSchema>,
  { signal, note }: FollowStreamOptions,
): AsyncGenerator<StreamEvent> {
  let answered = false;
  while (!signal.aborted) {
    try {
      for await (const { dropped, events } of stream.subscribe(request, { signal })) {
        answered = true;
        if (dropped > 0n) note(`${dropped} events were left out: they came faster than they were read`);
        yield* events;
      }
    } catch (reason) {
      if (signal.aborted) return;
      const { code } = ConnectError.from(reason);
      if (!answered || (code !== Code.Unavailable && code !== Code.Aborted)) throw reason;
    }
    if (signal.aborted) return;
    note("the stream has ended; asking for a new one, what happens in between is not shown");
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}
