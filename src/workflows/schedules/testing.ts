import type { Definition, ScheduleSpec } from "./model.ts";

/** A schedule for tests: every day at midnight, not paused. */
export function testDefinition(spec: Partial<ScheduleSpec>, more: Partial<Definition> = {}): Definition {
  return {
    id: "s1",
    tenant: "default",
    uid: "u1",
    revision: 1,
    spec: {
      workflowId: "w",
      cron: "0 0 * * *",
      timeZone: "UTC",
      input: {},
      labels: {},
      dryRun: false,
      overlap: "skip",
      catchUpWindowMs: 60_000,
      jitterMs: 0,
      maxQueued: 10,
      ...spec,
    },
    paused: false,
    fromMs: 0,
    createdAtMs: 0,
    createdBy: "ada",
    updatedAtMs: 0,
    updatedBy: "ada",
    requester: { keyId: "k", principal: "ada" },
    ...more,
  };
}
