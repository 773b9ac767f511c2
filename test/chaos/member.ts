import { type Child, type ChildOptions, type Crash, startChild } from "./child.ts";

export interface MemberOptions extends ChildOptions {
  kind: "gateway" | "scheduler" | "workflow-engine" | "worker" | "plain-worker";
  /** Of a gateway: its API. */
  url: string | undefined;
  /** Of a service: answers 200 while it is ready. */
  readyUrl: string | undefined;
}

/** A place in the cluster. Its process comes and goes; name, ports and configuration stay. */
export interface Member {
  readonly kind: MemberOptions["kind"];
  readonly name: string;
  readonly url: string | undefined;
  /** The process that is there now. */
  child(): Child | undefined;
  /** Puts a process there; the one before must have ended. */
  start(): Promise<void>;
  /** Undefined for a running service that says that it is well, and for every worker; else what is wrong. */
  problem(): Promise<string | undefined>;
  /** Claims the place for one fault at a time. False when another one has it. */
  claim(): boolean;
  release(): void;
  /** Ends the process, for good. */
  close(): Promise<void>;
}

const restartMs = 500;

export function createMember(options: MemberOptions): Member {
  const { kind, name, url, readyUrl } = options;
  let child: Child | undefined;
  let isClaimed = false;
  let wasReady = false;
  let isClosed = false;

  /** A service that cannot start because a server is away ends with code 1; a supervisor starts it again. */
  function onCrash(crash: Crash): void {
    const couldNotStart = readyUrl !== undefined && !wasReady && crash.how === "code 1";
    if (couldNotStart) setTimeout(() => isClosed || void start(), restartMs);
    else options.onCrash(crash);
  }

  async function start(): Promise<void> {
    wasReady = false;
    child = await startChild({ ...options, onCrash });
  }

  return {
    kind,
    name,
    url,
    child: () => child,
    start,
    async problem() {
      if (readyUrl === undefined) return undefined;
      try {
        const answer = await fetch(readyUrl, { signal: AbortSignal.timeout(2_000) });
        wasReady ||= answer.ok;
        return answer.ok ? undefined : await answer.text();
      } catch (error) {
        return String(error);
      }
    },
    claim() {
      if (isClaimed) return false;
      isClaimed = true;
      return true;
    },
    release() {
      isClaimed = false;
    },
    async close() {
      isClosed = true;
      await child?.kill();
    },
  };
}
