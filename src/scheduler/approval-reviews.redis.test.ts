import { create } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import type { ApprovalRow } from "../approvals/index.ts";
import { DomainError } from "../errors/index.ts";
import type { Cursor } from "../jobs/index.ts";
import type { Decision, PolicyInput } from "../policy/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import type { Admission } from "./admission.ts";
import type { ApprovalEnds } from "./approval-ends.ts";
import { startApprovalReviews } from "./approval-reviews.ts";
import { createDecisions } from "./decide.ts";
import type { SchedulerPorts } from "./ports.ts";

let servers: TestServers;
let redis: RedisClient;
beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

/** Jobs that wait, oldest first, by tenant. The tenant "gone" has lost its record. */
let tenants: string[];
let snapshot: string;
/** Tenants whose configuration cannot be read. */
let unreadable: Set<string>;
/** Whom policy was asked about without counting, and by which rule the job waits. */
let reviewed: string[];
let counted: string[];
let denied: string[];
let reviews: { close(): Promise<void> } | undefined;
beforeEach(() => {
  tenants = [];
  snapshot = "s1";
  unreadable = new Set();
  reviewed = [];
  counted = [];
  denied = [];
});
afterEach(() => reviews?.close());

function start({ hasReview = true } = {}): void {
  const rowOf = (tenant: string) => {
    const request = create(JobRequestSchema, { jobId: tenant, topic: "job.x", tenantId: tenant });
    const approval = { state: "PENDING", jobId: tenant, decision: { ruleId: "ask" } };
    return { approval, job: { id: tenant, state: "APPROVAL_REQUIRED", request } } as unknown as ApprovalRow;
  };
  const denial = () => ({ decision: SafetyDecision.DENY, reason: "no", snapshot }) as Decision;
  const ports = {
    store: { shards: 1 },
    approvals: {
      countPending: async () => tenants.length,
      pending: async (_shard: unknown, { limit }: { limit: number }) =>
        tenants.slice(0, limit).map((id, i) => ({ id, score: i }) as unknown as Cursor),
      load: async (rows: Cursor[]) =>
        new Map(rows.filter(({ id }) => id !== "gone").map((row) => [row, rowOf(row.id)])),
    },
    policy: {
      check: ({ tenant }: PolicyInput) => {
        counted.push(tenant);
        return denial();
      },
      ...(hasReview && {
        review: ({ tenant }: PolicyInput, askedBy: string) => {
          reviewed.push(`${tenant} ${askedBy}`);
          return denial();
        },
      }),
    },
    effectiveConfig: (_request: unknown, tenant: string) => {
      if (unreadable.has(tenant)) throw new DomainError("unavailable", "configuration cannot be read");
      return undefined;
    },
    limits: { defaultTenant: "default" },
    log: pino({ level: "silent" }),
  } as unknown as SchedulerPorts;
  const approvalEnds = {
    deny: async ({ jobId }: { jobId: string }) => denied.push(jobId) > 0,
  } as unknown as ApprovalEnds;
  const decisions = createDecisions(ports);
  reviews = startApprovalReviews(redis, ports, { admission: {} as Admission, decisions, approvalEnds }, 10);
}

describe("reviews of pending approvals", () => {
  it("ask policy without counting, and tell which rule asks for approval", async () => {
    tenants = ["a"];
    start();
    await until("a denial", () => denied.length > 0);

    expect(reviewed[0]).toBe("a ask");
    expect(counted).toEqual([]);
  });

  it("ask a kernel that can only be asked in one way in that way", async () => {
    tenants = ["a"];
    start({ hasReview: false });
    await until("a denial", () => denied.length > 0);

    expect(counted[0]).toBe("a");
  });

  it("go on after one that cannot be decided, and come back to it", async () => {
    tenants = ["broken", "b"];
    unreadable.add("broken");
    start();
    await until("the other job", () => denied.includes("b"));
    expect(denied).not.toContain("broken");

    unreadable.clear();
    await until("the job that could not be decided", () => denied.includes("broken"));
  });

  it.each([
    ["has no record", "gone"],
    ["cannot be decided any more", "broken"],
  ])("notice a new policy though the oldest %s", async (_title, oldest) => {
    tenants = [oldest, "b"];
    start();
    await until("the other job", () => denied.includes("b"));
    unreadable.add("broken");
    const before = denied.filter((id) => id === "b").length;
    snapshot = "s2";

    await until("a review by the new policy", () => denied.filter((id) => id === "b").length > before);
  });
});
