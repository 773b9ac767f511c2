/** A check returns when all is well and throws when not. The signal aborts at the check's timeout. */
export type HealthCheck = (signal: AbortSignal) => void | Promise<void>;

export interface HealthCheckOptions {
  /**
   * `live`: a failure means that the process must be restarted (a loop has stalled).
   * `ready`: a failure means that it can do no work now (a dependency is down). Default `ready`.
   */
  kind?: "live" | "ready";
  /** Milliseconds after which a check counts as failed. Default 1000. */
  timeoutMs?: number;
}

export interface HealthReport {
  ok: boolean;
  /** `ok` or the first line of what was thrown, by check. */
  checks: Record<string, string>;
}

/** Named checks that say whether this process lives and whether it can work. */
export interface HealthRegistry {
  /** @returns a function that removes the check */
  add(name: string, check: HealthCheck, options?: HealthCheckOptions): () => void;
  /** Announces that the process is about to stop: not ready from now on, whatever the checks say. */
  drain(): void;
  /** Runs the checks of `live`, or those of both kinds for `ready`. Calls within 250 ms share one answer. */
  report(kind: "live" | "ready"): Promise<HealthReport>;
}

interface Entry {
  check: HealthCheck;
  kind: "live" | "ready";
  timeoutMs: number;
}

/** Probes come in bursts from several sides; dependencies need not be asked for each. */
const shareMs = 250;

export function createHealthRegistry(): HealthRegistry {
  const entries = new Map<string, Entry>();
  const recent = new Map<"live" | "ready", { at: number; report: Promise<HealthReport> }>();
  let draining = false;

  async function run(kind: "live" | "ready"): Promise<HealthReport> {
    const chosen = [...entries].filter(([, entry]) => kind === "ready" || entry.kind === "live");
    const results = await Promise.all(chosen.map(async ([name, entry]) => [name, await runCheck(entry)] as const));
    const checks = Object.fromEntries(results);
    if (draining && kind === "ready") checks.draining = "the process is shutting down";
    return { ok: Object.values(checks).every((result) => result === "ok"), checks };
  }

  return {
    add(name, check, { kind = "ready", timeoutMs = 1000 } = {}) {
      const entry: Entry = { check, kind, timeoutMs };
      entries.set(name, entry);
      recent.clear();
      return () => {
        if (entries.get(name) === entry) entries.delete(name);
        recent.clear();
      };
    },
    drain() {
      draining = true;
      recent.clear();
    },
    report(kind) {
      const last = recent.get(kind);
      if (last && performance.now() - last.at < shareMs) return last.report;
      const report = run(kind);
      recent.set(kind, { at: performance.now(), report });
      return report;
    },
  };
}

/** @returns `ok`, or why not */
async function runCheck({ check, timeoutMs }: Entry): Promise<string> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const expired = new Promise<never>((_, reject) => {
    timeout.signal.addEventListener("abort", () => reject(new Error(`no answer within ${timeoutMs} ms`)));
  });
  try {
    await Promise.race([Promise.resolve().then(() => check(timeout.signal)), expired]);
    return "ok";
  } catch (reason) {
    return firstLine(reason instanceof Error ? reason.message : String(reason)) || "failed";
  } finally {
    clearTimeout(timer);
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]?.trim() ?? "";
}
