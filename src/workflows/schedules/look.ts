import { type RunStatus, terminalRuns } from "../core/state.ts";
import { createTimes } from "./cron.ts";
import type { LookResult } from "./merge.ts";
import type { Progress, Schedule, SettledTime } from "./model.ts";
import { decide, planTimes, runIdAt, settledUntil, timingOf } from "./plan.ts";
import { type SchedulePorts, startRun, statusesOf, toFailure } from "./start-time.ts";

/**
 * Starts what a schedule owes now.
 * L1. Nothing that is started depends on what is written afterwards: the run of a time has an id made of that time. Whoever
 *     looks again after a crash finds it, also when the time is too old by then, or would be skipped now.
 * L2. Times are settled in their order. One that cannot be started for a passing reason stops those behind it; it is tried
 *     again until it is older than the window.
 */
export async function lookAt(schedule: Schedule, ports: SchedulePorts, nowMs: number): Promise<LookResult> {
  const { definition, progress } = schedule;
  if (definition.paused) return { settled: [], queued: [], settledMs: 0, ended: [] };
  const { catchUpWindowMs: windowMs, overlap, maxQueued } = definition.spec;
  const times = createTimes(timingOf(definition));
  const { due, missed } = planTimes(times, { settledMs: settledUntil(definition, progress), nowMs, windowMs });
  const runOf = (atMs: number) => runIdAt(definition, atMs);
  const ids = [...progress.active, ...[...missed, ...due, ...progress.queue].map(runOf)];
  const statuses = await statusesOf(ports, ids);

  const settled: SettledTime[] = [];
  const queue = [...progress.queue];
  const underWay = new Set(progress.active.filter((id) => isUnderWay(statuses.get(id))));
  let problem: Progress["problem"] | null = null;
  let settledMs = 0;

  const settle = (atMs: number, kind: SettledTime["kind"], more: Partial<SettledTime>) =>
    settled.push({ atMs, kind, settledAtMs: nowMs, ...more });

  /** A run that somebody who has died, or who has lost the schedule, started. */
  function find(atMs: number): boolean {
    const status = statuses.get(runOf(atMs));
    if (!status) return false;
    if (isUnderWay(status)) underWay.add(runOf(atMs));
    settle(atMs, "started", { runId: runOf(atMs) });
    return true;
  }

  /** False when it must be tried again. */
  async function start(atMs: number, replaces: boolean): Promise<boolean> {
    const runId = runOf(atMs);
    try {
      await startRun(ports, definition, { runId, atMs }, async () => {
        if (replaces) await Promise.all([...underWay].map((other) => cancel(other, runId)));
      });
      settle(atMs, "started", { runId });
      underWay.add(runId);
      return true;
    } catch (error) {
      const { isPassing, reason, message } = toFailure(error);
      if (isPassing) {
        problem = { reason, message };
        ports.log.warn({ err: error, schedule: definition.id, run_id: runId }, "scheduled run not started yet");
        return false;
      }
      settle(atMs, "failed", { reason, message });
      return true;
    }
  }

  async function cancel(runId: string, by: string): Promise<void> {
    const reason = `replaced by run ${by}`;
    await ports.engine.apply(runId, { kind: "cancel", reason, by: `schedule:${definition.id}` });
  }

  /** False when it must be tried again. */
  async function act(atMs: number): Promise<boolean> {
    if (find(atMs)) return true;
    const decision = decide(overlap, underWay.size > 0);
    if (overlap === "cancel_other" && atMs !== due.at(-1)) {
      settle(atMs, "skipped", { reason: "superseded", message: "a later time has come, too" });
      return true;
    }
    if (decision === "skip") {
      const [other] = underWay;
      settle(atMs, "skipped", { reason: "overlap", message: `run ${other} is still under way` });
      return true;
    }
    if (decision === "queue") {
      queue.push(atMs);
      return true;
    }
    return await start(atMs, decision === "replace");
  }

  for (const atMs of missed) {
    const { reason, message } = progress.problem ?? { reason: "too_late", message: "nobody started it in time" };
    if (!find(atMs)) settle(atMs, "missed", { reason, message });
    settledMs = atMs;
  }
  for (const atMs of due) {
    if (!(await act(atMs))) break;
    settledMs = atMs;
  }
  while (queue[0] !== undefined && (find(queue[0]) || (underWay.size === 0 && (await start(queue[0], false))))) {
    queue.shift();
  }
  for (const atMs of queue.splice(maxQueued)) {
    settle(atMs, "skipped", { reason: "queue_full", message: `${maxQueued} times wait already` });
  }
  return {
    settled,
    queued: queue.filter((atMs) => !progress.queue.includes(atMs)),
    settledMs,
    ended: progress.active.filter((id) => !isUnderWay(statuses.get(id))),
    problem,
  };
}

function isUnderWay(status: RunStatus | undefined): boolean {
  return status !== undefined && !terminalRuns.has(status);
}
