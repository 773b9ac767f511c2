/** What a probe found. `checks` names every part with its state; a part that is well says `ok`. */
export interface HealthReport {
  ok: boolean;
  checks: Record<string, string>;
}

/** One part of a process. A thrown error counts as its message. */
export interface HealthCheck {
  /** The part works, or will again by itself. False: the process should be restarted. Default: always. */
  live?: () => boolean | Promise<boolean>;
  /** The part can serve now. False: send no traffic. */
  ready: () => boolean | Promise<boolean>;
}

/** What `/healthz` and `/readyz` answer. */
export interface Health {
  /** Adds or replaces a part. */
  set(name: string, check: HealthCheck): void;
  /** From now on nothing is ready, whatever the parts say. */
  stopServing(): void;
  live(): Promise<HealthReport>;
  ready(): Promise<HealthReport>;
}

export function createHealth(): Health {
  const parts = new Map<string, HealthCheck>();
  let isStopping = false;

  async function report(pick: (check: HealthCheck) => HealthCheck["ready"]): Promise<HealthReport> {
    const entries = [...parts].map(async ([name, check]) => [name, await stateOf(pick(check))] as const);
    const checks = Object.fromEntries(await Promise.all(entries));
    return { ok: Object.values(checks).every((state) => state === "ok"), checks };
  }

  return {
    set: (name, check) => void parts.set(name, check),
    stopServing() {
      isStopping = true;
    },
    live: () => report((check) => check.live ?? (() => true)),
    async ready() {
      if (isStopping) return { ok: false, checks: { process: "stopping" } };
      return report((check) => check.ready);
    },
  };
}

async function stateOf(check: HealthCheck["ready"]): Promise<string> {
  try {
    return (await check()) ? "ok" : "not ready";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
