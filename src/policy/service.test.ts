import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { DecisionType, PolicyCheckRequestSchema, SafetyKernel } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { KernelService } from "@cordum/proto/cordum/v1/kernel_pb.js";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openPolicyKernel, type PolicyKernel } from "./kernel.ts";
import { createRemoteKernel } from "./remote-kernel.ts";
import { createKernelService, createSafetyKernelService } from "./service.ts";

const log = pino({ level: "silent" });
const policy = `version: v1
rules:
  - id: slow
    decision: allow
    match: {topics: [job.slow]}
    constraints: {budgets: {max_runtime_ms: 1000}}
  - id: ask
    decision: require_approval
    reason: look first
    match: {topics: [job.ask]}
    remediations: [{id: m, replacement_topic: job.slow}]
  - {id: full, decision: throttle, reason: full, match: {topics: [job.full]}}
tenants:
  default: {mcp: {deny_tools: [rm]}}
`;

const richPolicy = `version: v2
rules:
  - {id: ask, decision: require_approval, match: {topics: [job.ask]}, approvals: {count: 2, roles: [lead], expires: 1h}}
  - id: leak
    stage: output
    decision: quarantine
    hold: true
    match: {topics: [job.x]}
    detectors: [secrets]
    pattern: ["AKIA[0-9]"]
    max_bytes: 1000
`;

let folder: string;
let kernel: PolicyKernel;
let transport: Transport;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-"));
  const path = join(folder, "safety.yaml");
  await writeFile(path, policy);
  kernel = await openPolicyKernel({ path, log });
  transport = createRouterTransport((router) => router.service(SafetyKernel, createSafetyKernelService(kernel)));
});

afterEach(async () => {
  vi.useRealTimers();
  await kernel.close();
  await rm(folder, { recursive: true });
});

const input = (topic: string, labels: Record<string, string> = {}) =>
  create(PolicyCheckRequestSchema, { jobId: "j1", topic, labels });

describe("the SafetyKernel service", () => {
  it("answers Check, Evaluate and Simulate alike", async () => {
    const client = createClient(SafetyKernel, transport);

    for (const method of ["check", "evaluate", "simulate"] as const) {
      expect(await client[method](input("job.slow"))).toMatchObject({
        decision: DecisionType.ALLOW_WITH_CONSTRAINTS,
        reason: "",
        ruleId: "slow",
        policySnapshot: kernel.current().snapshot,
        constraints: { budgets: { maxRuntimeMs: 1000n } },
        approvalRequired: false,
        approvalRef: "",
      });
    }
    expect(await client.check(input("job.full"))).toMatchObject({ decision: DecisionType.THROTTLE, reason: "full" });
    expect(await client.check(input("job.x"))).toMatchObject({ decision: DecisionType.ALLOW, ruleId: "" });
  });

  it("refers to the job that must be approved", async () => {
    const client = createClient(SafetyKernel, transport);

    expect(await client.check(input("job.ask"))).toMatchObject({
      decision: DecisionType.REQUIRE_HUMAN,
      reason: "look first",
      approvalRequired: true,
      approvalRef: "j1",
      remediations: [{ id: "m", replacementTopic: "job.slow" }],
    });
  });

  it("refers to each of two jobs that ask the same, and decides anew after a reload (cases 78, 79)", async () => {
    const { check } = createClient(SafetyKernel, transport);
    const answers = [await check(input("job.ask")), await check({ ...input("job.ask"), jobId: "j2" })];
    await writeFile(kernel.current().source, policy.replace("require_approval", "deny").replace("v1", "v3"));
    await kernel.reload();

    expect(answers.map(({ approvalRef }) => approvalRef)).toEqual(["j1", "j2"]);
    expect(await check(input("job.ask"))).toMatchObject({
      decision: DecisionType.DENY,
      policySnapshot: kernel.current().snapshot,
    });
  });

  it("says in Explain which rule won and how many were considered", async () => {
    const { explain } = createClient(SafetyKernel, transport);
    const file = join(folder, "safety.yaml");

    expect((await explain(input("job.ask"))).reason).toBe(
      `rule "ask" (${file}:7) decided require_approval; reason: look first; considered 2 of 3 rules; rule "slow" failed on topics`,
    );
    expect((await explain(input("job.x"))).reason).toMatch(/^no rule matched; considered 3 of 3 rules; /);
    expect((await explain(input("job.ask", { mcp_tool: "rm" }))).reason).toContain('mcp tool "rm" denied');
    expect((await explain(input("nope"))).reason).toBe("unsupported topic: no rule is considered");
  });

  it("lists snapshots", async () => {
    expect(await createClient(SafetyKernel, transport).listSnapshots({})).toMatchObject({
      snapshots: kernel.snapshots(),
    });
  });
});

describe("createRemoteKernel()", () => {
  it("decides as the kernel it asks, over gRPC", async () => {
    const routes = connectNodeAdapter({
      routes: (router) => {
        router.service(SafetyKernel, createSafetyKernelService(kernel));
        router.service(KernelService, createKernelService(kernel));
      },
    });
    const server = createServer(routes);
    const remote = createRemoteKernel({ address: await listen(server), log });
    try {
      for (const topic of ["job.slow", "job.ask", "job.full", "job.x", "nope", ""]) {
        expect(await remote.check(input(topic))).toEqual(await kernel.check(input(topic)));
      }
    } finally {
      await remote.close();
      server.close();
    }
  });

  it("also tells of approvers and output rules, and asks no more where there are none", async () => {
    const listed = vi.fn();
    const rich = createRouterTransport((router) => {
      router.service(SafetyKernel, createSafetyKernelService(kernel));
      const service = createKernelService(kernel);
      router.service(KernelService, {
        ...service,
        listOutputRules: (request, context) => {
          listed();
          return service.listOutputRules(request, context);
        },
      });
    });
    const remote = createRemoteKernel({ address: "unused", transport: rich, log });
    expect(await remote.outputRules(input("job.x"))).toEqual([]);
    await remote.check(input("job.x"));
    expect(await remote.outputRules(input("job.x"))).toEqual([]);
    expect(listed).toHaveBeenCalledTimes(1);

    const path = kernel.current().source;
    await writeFile(path, richPolicy);
    await kernel.reload();

    const asked = await remote.check(input("job.ask"));
    expect(asked).toEqual(await kernel.check(input("job.ask")));
    expect(asked).toMatchObject({ approvals: { count: 2, roles: ["lead"], expiresAfterMs: 3_600_000 } });
    const [rule, ...others] = await remote.outputRules(input("job.x"));
    expect(others).toEqual([]);
    expect(rule).toMatchObject({
      id: "leak",
      decision: "quarantine",
      hold: true,
      detectors: ["secrets"],
      maxBytes: 1000,
    });
    expect(rule?.patterns[0]?.test("key AKIA1")).toBe(true);
    await remote.close();
  });

  it("still decides by a kernel that serves only SafetyKernel", async () => {
    const remote = createRemoteKernel({ address: "unused", transport, log });

    expect(await remote.check(input("job.ask"))).toMatchObject({ ruleId: "ask", approvalRequired: true });
    expect(await remote.outputRules(input("job.x"))).toEqual([]);
    expect(await remote.snapshots()).toEqual(kernel.snapshots());
    expect(remote.breakerState()).toBe("closed");
    await remote.close();
  });

  it("knows the policy of the kernel from its answers, and asks for it once the latest of them is old", async () => {
    const listed = vi.fn();
    const own = createSafetyKernelService(kernel);
    const both = createRouterTransport((router) => {
      router.service(KernelService, createKernelService(kernel));
      router.service(SafetyKernel, {
        ...own,
        listSnapshots: (request, context) => {
          listed();
          return own.listSnapshots(request, context);
        },
      });
    });
    const remote = createRemoteKernel({ address: "unused", transport: both, log });
    expect(remote.currentSnapshot()).toBe("");
    await remote.check(input("job.x"));
    await remote.check(input("job.a/b")); // no policy is asked about it, and none is named
    const before = kernel.current().snapshot;
    expect(remote.currentSnapshot()).toBe(before);
    expect(listed).not.toHaveBeenCalled();

    await writeFile(kernel.current().source, richPolicy);
    await kernel.reload();
    expect(remote.currentSnapshot()).toBe(before);
    await vi.waitFor(() => expect(remote.currentSnapshot()).toBe(kernel.current().snapshot), 3_000);
    expect(listed).toHaveBeenCalledTimes(1);
    await remote.close();
  });

  it("takes the answer to the later call for the newer one, in whatever order they come", async () => {
    const late = Promise.withResolvers<void>();
    const ours = createKernelService(kernel);
    const slow = createRouterTransport((router) =>
      router.service(KernelService, {
        decide: async (request, context) => {
          const answer = await ours.decide(request, context);
          if (request.jobId === "first") await late.promise;
          return answer;
        },
      }),
    );
    const remote = createRemoteKernel({ address: "unused", transport: slow, log });
    const first = remote.check({ ...input("job.x"), jobId: "first" });
    await vi.waitFor(() => new Promise((resolve) => setImmediate(resolve)));
    await writeFile(kernel.current().source, richPolicy);
    await kernel.reload();
    await remote.check(input("job.x"));
    late.resolve();

    expect((await first).snapshot).not.toBe(kernel.current().snapshot);
    expect(remote.currentSnapshot()).toBe(kernel.current().snapshot);
    await remote.close();
  });

  it("knows no policy of a kernel that names none", async () => {
    const nameless = createRouterTransport((router) =>
      router.service(SafetyKernel, {
        check: ({ topic }) => ({ decision: DecisionType.ALLOW, policySnapshot: topic === "job.named" ? "s1" : "" }),
      }),
    );
    const remote = createRemoteKernel({ address: "unused", transport: nameless, log });
    await remote.check(input("job.named"));
    expect(remote.currentSnapshot()).toBe("s1");
    await remote.check(input("job.x"));
    expect(remote.currentSnapshot()).toBe("");
    await remote.close();
  });

  it("takes one that has answered as ours and then does not for unavailable, not for one without output rules", async () => {
    await writeFile(kernel.current().source, richPolicy);
    await kernel.reload();
    let isRouted = true;
    const ours = createKernelService(kernel);
    const unrouted = () => new ConnectError("404 page not found", Code.Unimplemented);
    const partly = createRouterTransport((router) => {
      router.service(SafetyKernel, createSafetyKernelService(kernel));
      router.service(KernelService, {
        decide: (request, context) => {
          if (!isRouted) throw unrouted();
          return ours.decide(request, context);
        },
        listOutputRules: (request, context) => {
          if (!isRouted) throw unrouted();
          return ours.listOutputRules(request, context);
        },
      });
    });
    const remote = createRemoteKernel({ address: "unused", transport: partly, log });
    await remote.check(input("job.x"));

    isRouted = false;
    await expect(remote.outputRules(input("job.x"))).rejects.toMatchObject({ code: "unavailable" });
    await expect(remote.check(input("job.x"))).rejects.toMatchObject({ code: "unavailable" });
    isRouted = true;
    expect(await remote.outputRules(input("job.x"))).toHaveLength(1);
    await remote.close();
  });

  it("does not take what serves no kernel at all for one without output rules", async () => {
    const ingress = createRouterTransport(() => undefined);
    const remote = createRemoteKernel({ address: "unused", transport: ingress, log });

    for (let i = 0; i < 2; i++) {
      await expect(remote.outputRules(input("job.x"))).rejects.toMatchObject({ code: "unavailable" });
    }
    await remote.close();
  });

  it("reports a kernel that is not there as unavailable, leaves it alone, and comes back", async () => {
    let calls = 0;
    let failing = true;
    vi.useFakeTimers({ toFake: ["Date"], now: 0 });
    const flaky = createRouterTransport((router) => {
      router.rpc(SafetyKernel.method.check, () => {
        calls += 1;
        if (failing) throw new ConnectError("down", Code.Internal);
        return { decision: DecisionType.ALLOW };
      });
    });
    const remote = createRemoteKernel({ address: "unused", transport: flaky, log });

    for (let i = 0; i < 3; i++) {
      await expect(remote.check(input("job.x"))).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
    }
    vi.setSystemTime(10_000);
    await expect(remote.check(input("job.x"))).rejects.toMatchObject({
      code: "unavailable",
      reason: "safety_kernel_unavailable",
      message: "safety kernel unavailable: circuit open",
      retryAfterMs: 20_000,
    });
    expect(calls).toBe(3);

    failing = false;
    vi.setSystemTime(30_000);
    await remote.check(input("job.x"));
    expect(remote.breakerState()).toBe("half-open");
    await remote.check(input("job.x"));
    expect(remote.breakerState()).toBe("closed");
    await remote.close();
  });

  it("gives up on a kernel that does not answer in time", async () => {
    const silent = createRouterTransport((router) => {
      router.rpc(SafetyKernel.method.check, (_request, { signal }) => {
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      });
    });
    const remote = createRemoteKernel({ address: "unused", transport: silent, log, timeoutMs: 50 });

    await expect(remote.check(input("job.x"))).rejects.toMatchObject({ code: "unavailable" });
    await remote.close();
  });

  it.each([
    ["none (case 85)", { decision: DecisionType.UNSPECIFIED }, SafetyDecision.DENY],
    ["an unknown one", { decision: 9 as DecisionType }, SafetyDecision.DENY],
    ["allow with approval", { decision: DecisionType.ALLOW, approvalRequired: true }, SafetyDecision.REQUIRE_APPROVAL],
    ["deny with approval", { decision: DecisionType.DENY, approvalRequired: true }, SafetyDecision.DENY],
  ])("takes the decision %s for the safe one", async (_title, response, expected) => {
    const odd = createRouterTransport((router) => router.rpc(SafetyKernel.method.check, () => response));
    const remote = createRemoteKernel({ address: "unused", transport: odd, log });

    expect((await remote.check(input("job.x"))).decision).toBe(expected);
    await remote.close();
  });
});

function listen(server: Http2Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}
