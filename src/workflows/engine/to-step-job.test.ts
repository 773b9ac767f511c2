import { ActorType, JobPriority } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import type { RunHeader } from "../core/state.ts";
import { compileWorkflow, type StepDocument, type WorkflowDocument } from "../model/index.ts";
import { type StepJob, toStepJob } from "./to-step-job.ts";

const header: RunHeader = {
  id: "r1",
  workflowId: "wf",
  workflowVersion: 1,
  tenant: "acme",
  team: "",
  status: "running",
  letters: ".",
  createdAt: 1,
  updatedAt: 1,
  labels: {},
  metadata: {},
  triggeredBy: "ada",
  depth: 0,
  rootId: "r1",
  priority: "batch",
  memoryId: "run:r1",
  events: 0,
};

/** The request for a step of a definition that nobody has checked. */
function requestOf(step: StepDocument, over: Partial<StepJob> = {}) {
  const document: WorkflowDocument = { id: "wf", org_id: "acme", steps: { a: step } };
  const workflow = compileWorkflow(document, 1);
  const job = workflow.byId.get("a")?.job;
  if (!job) throw new Error("no step a");
  return toStepJob({ workflow, header, job, stepKey: "a", jobId: "r1:a@1", payload: {}, traceparent: "", ...over });
}

describe("toStepJob()", () => {
  it("says what a job that is a step always says", () => {
    const request = requestOf({ topic: "job.x" });

    expect(request).toMatchObject({
      jobId: "r1:a@1",
      topic: "job.x",
      priority: JobPriority.BATCH,
      adapterId: "",
      workflowId: "wf",
      memoryId: "run:r1",
      contextPtr: "redis://ctx:r1:a@1",
      tenantId: "acme",
      principalId: "",
      parentJobId: "",
      stepIndex: 0,
      labels: { workflow_id: "wf", run_id: "r1", step_id: "a" },
      env: {
        workflow_id: "wf",
        run_id: "r1",
        step_id: "a",
        tenant_id: "acme",
        memory_id: "run:r1",
        context_mode: "raw",
      },
    });
    expect(request.budget).toBeUndefined();
    expect(request.contextHints).toBeUndefined();
    expect(Object.keys(request.labels)).toHaveLength(3);
    expect(Object.keys(request.env)).toHaveLength(6);
  });

  it("sends steps without a topic to the workflow's", () => {
    expect(requestOf({}).topic).toBe("job.workflow.wf");
  });

  it("58 (kept): takes priority and memory of the run", () => {
    const about = { header: { ...header, priority: "critical", memoryId: "m", team: "blue" } as const };

    const { priority, memoryId, env } = requestOf({}, about);
    expect(priority).toBe(JobPriority.CRITICAL);
    expect(memoryId).toBe("m");
    expect(env).toMatchObject({ memory_id: "m", team_id: "blue" });
  });

  it("59 (kept): trims what meta says, and the principal is meta's actor", () => {
    const { meta, principalId, tenantId } = requestOf({
      meta: {
        actor_id: " bot ",
        actor_type: "Service",
        idempotency_key: " key ",
        pack_id: " p ",
        capability: " c ",
        risk_tags: [" a ", " ", "b"],
        requires: ["", " gpu "],
        labels: { k: " v " },
      },
    });

    expect(meta).toMatchObject({
      tenantId: "acme",
      actorId: "bot",
      actorType: ActorType.SERVICE,
      idempotencyKey: "key",
      packId: "p",
      capability: "c",
      riskTags: ["a", "b"],
      requires: ["gpu"],
      labels: { k: " v " },
    });
    expect(principalId).toBe("bot");
    expect(tenantId).toBe("acme");
  });

  it("names the tenant in the metadata when the step says nothing", () => {
    expect(requestOf({}).meta).toMatchObject({ tenantId: "acme", actorId: "", actorType: ActorType.UNSPECIFIED });
  });

  it("takes whoever started the run for the principal when meta names no actor", () => {
    const requester = { keyId: "k", principal: "ada" };

    expect(requestOf({}, { header: { ...header, requester } }).principalId).toBe("ada");
  });

  it("names the worker", () => {
    const { adapterId, labels } = requestOf({ worker_id: "w7" });

    expect(adapterId).toBe("w7");
    expect(labels.worker_id).toBe("w7");
  });

  it("adds route_labels, which cannot stand for another run or step (flaw 48)", () => {
    const { labels } = requestOf({ route_labels: { region: "eu", run_id: "other", step_id: "b" } });

    expect(labels).toEqual({ region: "eu", workflow_id: "wf", run_id: "r1", step_id: "a" });
  });

  it("19 (kept): gives the deadline in milliseconds", () => {
    expect(requestOf({ timeout_sec: 5 }).budget?.deadlineMs).toBe(5_000n);
  });

  it("45 (kept): says index and item of a unit", () => {
    const { env, labels } = requestOf({}, { stepKey: "a[3]", unit: { index: 3, item: { id: 1 } } });

    expect(env).toMatchObject({ step_id: "a[3]", foreach_index: "3", foreach_item: '{"id":1}' });
    expect(labels.step_id).toBe("a[3]");
    expect(requestOf({}, { unit: { index: 0, item: null } }).env.foreach_item).toBe("null");
  });

  it("hands the trace on", () => {
    expect(requestOf({}, { traceparent: "00-1-2-01" }).env.traceparent).toBe("00-1-2-01");
  });

  it("marks payloads that hold secrets", () => {
    const { labels, meta } = requestOf({}, { payload: { password: "secret://vault/x" } });

    expect(labels.secrets_present).toBe("true");
    expect(meta?.riskTags).toContain("secrets");
  });
});
