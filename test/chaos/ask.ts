import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { CordumClient } from "@cordum/sdk";
import type { Random } from "./random.ts";

/** An answer that takes longer is as good as none: the call is repeated. */
const callTimeoutMs = 5_000;
const giveUpAfterMs = 30_000;

export type Ask = <T>(
  mayRepeat: boolean,
  ask: (client: CordumClient, call: { timeoutMs: number }) => Promise<T>,
) => Promise<T | undefined>;

/** Asks any gateway, and another one when the first does not answer. Undefined when none did. */
export function createAsk(clients: readonly CordumClient[], random: Random): Ask {
  return async (mayRepeat, ask) => {
    const giveUpAt = Date.now() + giveUpAfterMs;
    while (Date.now() < giveUpAt) {
      try {
        return await ask(random.pick(clients), { timeoutMs: callTimeoutMs });
      } catch (error) {
        if (!isOutage(error)) throw error;
        if (!mayRepeat) return undefined;
        await sleep(100);
      }
    }
    return undefined;
  };
}

/** What a client sees of an outage, above all of a connection that breaks. Everything else is an answer. */
function isOutage(error: unknown): boolean {
  const { code, cause } = ConnectError.from(error);
  const nodeCode = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return outageCodes.includes(code) || nodeCode.startsWith("ERR_HTTP2_");
}

const outageCodes: Code[] = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted];
