import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { DomainError } from "../../errors/index.ts";
import { createTimes } from "./cron.ts";
import { givenUp } from "./merge.ts";
import type { Definition, Progress, Schedule, ScheduleSpec, SettledTime } from "./model.ts";
import { nextLook, runIdOfTrigger, timingOf } from "./plan.ts";
import { recordResult } from "./record.ts";
import { type SchedulePorts, startRun } from "./start-time.ts";
import type { ScheduleStore } from "./store.ts";

/** Who changes a schedule. */
export interface Author {
  /** How the author is written down. */
  name: string;
  requester: Definition["requester"];
}

export interface PutRequest {
  id: string;
  tenant: string;
  spec: ScheduleSpec;
  /** Undefined: as it was; false for one that is new. */
  paused: boolean | undefined;
  /** 0: there must be none. Undefined: whatever is there. */
  expectedRevision: number | undefined;
  author: Author;
}

/** What people do to schedules. */
export interface Schedules {
  /**
   * Adds or replaces.
   * @throws DomainError permission_denied when the id is another tenant's, aborted when the revision is not the expected one
   */
  put(request: PutRequest): Promise<Schedule>;
  /** @throws DomainError not_found, as all that follow */
  setPaused(target: { id: string; tenant: string }, paused: boolean, author: Author): Promise<Schedule>;
  /**
   * Starts a run now.
   * @param key - the same starts the same run; empty for none
   */
  trigger(schedule: Schedule, key: string, author: Author): Promise<string>;
}

export function createSchedules(store: ScheduleStore, ports: SchedulePorts): Schedules {
  /** Reads, changes and writes until nobody else has written between. */
  async function change(
    id: string,
    apply: (found: Schedule | undefined, nowMs: number) => Omit<Definition, "fromMs">,
  ): Promise<Schedule> {
    for (;;) {
      const [found, nowMs] = await Promise.all([store.get(id), store.nowMs()]);
      const about = apply(found, nowMs);
      const definition = { ...about, fromMs: fromOf(about, found?.definition, nowMs) };
      const history = givenUpBy(definition, found, nowMs);
      const progress = toProgress(definition, found, nowMs);
      const version = found?.version ?? 0;
      const lookAtMs = nextLook(definition, progress, createTimes(timingOf(definition)), nowMs);
      const write = { definition, isDefinitionNew: true, progress, version, lookAtMs, history };
      if (await store.write(write)) return { definition, progress, version };
    }
  }

  return {
    put: ({ id, tenant, spec, paused, expectedRevision, author }) =>
      change(id, (found, nowMs) => {
        if (found && found.definition.tenant !== tenant) throw otherTenant(id);
        checkRevision(id, expectedRevision, found);
        const before = found?.definition;
        return {
          id,
          tenant,
          uid: before?.uid ?? randomUUID(),
          revision: (before?.revision ?? 0) + 1,
          spec,
          paused: paused ?? before?.paused ?? false,
          createdAtMs: before?.createdAtMs ?? nowMs,
          createdBy: before?.createdBy ?? author.name,
          updatedAtMs: nowMs,
          updatedBy: author.name,
          requester: author.requester,
        };
      }),
    setPaused: ({ id, tenant }, paused, author) =>
      change(id, (found, nowMs) => {
        if (found?.definition.tenant !== tenant) throw noSchedule(id);
        const { definition: before } = found;
        if (before.paused === paused) return before;
        return { ...before, paused, revision: before.revision + 1, updatedAtMs: nowMs, updatedBy: author.name };
      }),
    async trigger(schedule, key, { requester }) {
      const { definition } = schedule;
      const nowMs = await store.nowMs();
      const runId = runIdOfTrigger(definition, key || randomUUID());
      await startRun(ports, definition, { runId, atMs: nowMs, requester });
      const times = await store.history(definition.id);
      if (times.some((time) => time.runId === runId)) return runId; // a call that is repeated
      const settled: SettledTime[] = [{ atMs: nowMs, kind: "started", settledAtMs: nowMs, runId, triggered: true }];
      await recordResult(store, schedule, { settled, queued: [], settledMs: 0, ended: [] }, nowMs);
      return runId;
    },
  };
}

/** From when on times are the schedule's: those of another expression, and those of a pause, are not. */
function fromOf(definition: Omit<Definition, "fromMs">, before: Definition | undefined, nowMs: number): number {
  if (!before || (before.paused && !definition.paused)) return nowMs;
  return isDeepStrictEqual(timingOf(definition), timingOf(before)) ? before.fromMs : nowMs;
}

/** Times that wait when the schedule is paused. */
function givenUpBy({ paused }: Definition, found: Schedule | undefined, nowMs: number): SettledTime[] {
  return paused ? (found?.progress.queue ?? []).map((atMs) => givenUp(atMs, nowMs)) : [];
}

function toProgress({ paused }: Definition, found: Schedule | undefined, nowMs: number): Progress {
  if (!found) return { settledMs: nowMs, queue: [], active: [] };
  if (!paused) return found.progress;
  const { problem: _problem, ...progress } = found.progress;
  return { ...progress, queue: [] };
}

function checkRevision(id: string, expected: number | undefined, found: Schedule | undefined): void {
  const revision = found?.definition.revision ?? 0;
  if (expected === undefined || expected === revision) return;
  const state = revision === 0 ? "there is no such schedule" : `the revision is ${revision}`;
  const message = `expected_revision: ${state}, not ${expected}; read ${id} again and repeat the change`;
  throw new DomainError("aborted", message, { reason: "schedule_revision_conflict" });
}

export function noSchedule(id: string): DomainError {
  return new DomainError("not_found", `no schedule ${id}`, { reason: "schedule_not_found" });
}

function otherTenant(id: string): DomainError {
  const message = `schedule ${id} belongs to another tenant, choose another id`;
  return new DomainError("permission_denied", message, { reason: "schedule_of_other_tenant" });
}
