import { ApprovalService } from "@cordum/proto/cordum/v1/approval_pb.js";
import { JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApprovalReader, createApprovalService, createApprovals } from "../../src/approvals/index.ts";
import { createAuthenticator } from "../../src/auth/index.ts";
import { createJobService } from "../../src/jobs/index.ts";
import { createHealthRegistry, createRpcServer } from "../../src/rpc/index.ts";
import { createStreamHub } from "../../src/streams/index.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";

const keys = "default:agent:user:ada,default:bob:approver+security:bob,default:boss:admin,default:look:viewer";
const log = pino({ level: "silent" });

let servers: TestServers;
let platform: Platform;
let server: ReturnType<typeof createRpcServer>;
let url: string;

beforeAll(async () => {
  servers = await startServers();
  const ask = { id: "ask", match: { topics: ["job.asked"] }, decision: "require_approval", reason: "people decide" };
  const rules = [{ ...ask, approvals: { count: 1, roles: ["security"] } }];
  platform = await startPlatform(servers, { rules, topics: { "job.asked": ["asked"] } });
  const { redis, bus, store, reader, jobs, payloads } = platform;
  const approvals = createApprovalReader(redis, store.shards, reader);
  const voting = { approvals, jobs: reader, allowsSelf: false };
  const decisions = createApprovals({ ...voting, bus, store });
  const hub = createStreamHub({ bus, reader, log });
  server = createRpcServer({
    routes: (router) => {
      router.service(JobService, createJobService({ jobs, reader, payloads }));
      router.service(ApprovalService, createApprovalService({ ...voting, decisions, hub }));
    },
    services: [JobService, ApprovalService],
    authenticator: createAuthenticator({ apiKeys: keys, defaultTenant: "default" }),
    rateLimit: false,
    log,
    health: createHealthRegistry(),
    version: "test",
  });
  url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}/api/v1`;
});
afterAll(async () => {
  await server.close(1_000);
  await platform.close();
  await servers.stop();
});

async function call(key: string, method: string, path: string, body?: object) {
  const init = { method, headers: { "x-api-key": key }, ...(body && { body: JSON.stringify(body) }) };
  const response = await fetch(url + path, init);
  return { status: response.status, body: JSON.parse(await response.text()) };
}

async function held(): Promise<string> {
  const { body } = await call("agent", "POST", "/jobs", { topic: "job.asked", prompt: "p" });
  await platform.reaches(body.job_id, "APPROVAL_REQUIRED");
  return body.job_id;
}

describe("approvals over REST", () => {
  it("are listed with the fields that older clients read", async () => {
    const jobId = await held();

    const { body } = await call("look", "GET", "/approvals?limit=100");

    expect(body.items.at(-1)).toMatchObject({
      job: { id: jobId, state: "APPROVAL_REQUIRED" },
      decision: "REQUIRE_APPROVAL",
      policy_rule_id: "ask",
      policy_reason: "people decide",
      policy_snapshot: platform.kernel.current().snapshot,
      job_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      approval_required: true,
      approval_ref: jobId,
      state: "PENDING",
      requirement: { count: 1, roles: ["security"], expires_after_ms: 0 },
    });
  });

  it("are given without a body; the second time, and for a job that asks for none, it is 409", async () => {
    const jobId = await held();

    const first = await call("bob", "POST", `/approvals/${jobId}/approve`);
    const second = await call("bob", "POST", `/approvals/${jobId}/approve`);

    expect(first).toMatchObject({ status: 200, body: { job_id: jobId, trace_id: jobId } });
    expect(second).toMatchObject({ status: 409, body: { code: "failed_precondition" } });
    expect(second.body.message).toContain("was APPROVED by bob");
  });

  it("are refused without a body", async () => {
    const jobId = await held();

    expect(await call("bob", "POST", `/approvals/${jobId}/reject`)).toMatchObject({
      status: 200,
      body: { job_id: jobId },
    });
    expect(await platform.get(jobId)).toMatchObject({ state: "DENIED", errorCode: "approval_rejected" });
  });

  it("are for keys with the permission, and with the role that policy names", async () => {
    const jobId = await held();

    for (const key of ["agent", "look", "boss"]) {
      expect(await call(key, "POST", `/approvals/${jobId}/approve`)).toMatchObject({ status: 403 });
    }
    expect(await call("agent", "GET", "/approvals")).toMatchObject({ status: 403 });
    expect(await call("bob", "POST", "/jobs", { topic: "job.asked", prompt: "p" })).toMatchObject({ status: 403 });
  });

  it("are not found where there is none", async () => {
    expect(await call("bob", "GET", "/approvals/none")).toMatchObject({ status: 404 });
    expect(await call("bob", "POST", "/approvals/none/approve")).toMatchObject({ status: 404 });
  });
});
