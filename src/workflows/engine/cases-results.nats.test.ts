import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker, tellEnd } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { createApprovalReader, createApprovals } from "../../approvals/index.ts";
import type { StepDocument } from "../index.ts";

// Numbers are those of the cases in the contract of the workflow engine: (kept) behaves as ever, (improved) on purpose not.

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;

const retried = { max_retries: 1, initial_backoff_sec: 0.05 };

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers, {
    watchAfterMs: 600,
    rules: [
      { id: "forbid", match: { risk_tags: ["forbidden"] }, decision: "deny", reason: "forbidden here" },
      { id: "ask", match: { risk_tags: ["delicate"] }, decision: "require_approval", reason: "people decide" },
    ],
  });
  hands = await startStepWorker(platform);
});

afterAll(async () => {
  await platform.closeAll();
  await servers.stop();
});

async function run(steps: Record<string, StepDocument>, input = {}): Promise<string> {
  const { id } = await platform.define(steps);
  return platform.start(id, input);
}

async function step(runId: string, key: string) {
  const found = (await platform.runReader.steps(runId, [key])).get(key);
  return found && { ...found.state, output: found.output };
}

const two = () => ({ a: hands.job(), b: hands.job() });
const chain = () => ({ a: hands.job(), b: hands.job({ depends_on: ["a"] }) });

describe("results of steps", () => {
  it("1 (kept): a run without steps succeeds at once", async () => {
    const runId = await run({});

    await platform.becomes(runId, "succeeded");
    expect(await platform.story(runId)).toEqual(["rs=succeeded"]);
  });

  it("2 (kept): a step's result ends the run, pointer and value are kept", async () => {
    const runId = await run({ a: hands.job() });
    await hands.succeed(runId, "a", { v: 1 });

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output).toEqual({
      resultPtr: `redis://res:${runId}:a@1`,
      output: { v: 1 },
      isInlined: true,
    });
    expect(await platform.story(runId)).toEqual(["disp:a", "rs=running", "done:a=succeeded", "rs=succeeded"]);
  });

  it("3 (kept): a dependent is dispatched when its dependency has succeeded", async () => {
    const runId = await run(chain());
    await hands.succeed(runId, "a");

    const { jobId } = await hands.request(runId, "b");
    expect(jobId).toBe(`${runId}:b@1`);
    expect((await platform.run(runId)).status).toBe("running");
  });

  it("4 (kept): a failed step fails the run, dependents are never begun, and a late result of one changes nothing", async () => {
    const runId = await run(chain());
    await hands.fail(runId, "a", "x");

    const { error } = await platform.becomes(runId, "failed");
    expect(error).toMatchObject({ stepId: "a", message: "step a failed: x" });
    expect((await step(runId, "a"))?.error?.message).toBe("x");
    expect(await step(runId, "b")).toBeUndefined();
    expect(await tellEnd(platform, runId, "b")).toMatchObject({ kind: "ignored" });
    expect((await platform.run(runId)).status).toBe("failed");
  });

  it("5 (improved): when a step fails its siblings are cancelled with their jobs", async () => {
    const runId = await run(two());
    await hands.request(runId, "b");
    await hands.fail(runId, "a");

    await platform.becomes(runId, "failed");
    expect(await step(runId, "b")).toMatchObject({ status: "cancelled" });
    await until("the cancel of b", () => hands.cancelled(runId).includes("b@1"));
    await platform.reaches(`${runId}:b@1`, "CANCELLED");
    expect(await platform.story(runId)).toEqual([
      "disp:a",
      "disp:b",
      "rs=running",
      "done:a=failed",
      "step_cancelled:b", // new
      "rs=failed",
    ]);
  });

  it("6 (kept): a step that times out makes the run timed_out", async () => {
    const runId = await run(two());
    await hands.end(runId, "a", { status: JobStatus.TIMEOUT });

    await platform.becomes(runId, "timed_out");
    expect(await step(runId, "a")).toMatchObject({ status: "timed_out" });
  });

  it("7 (kept): the first bad end decides, whatever comes later", async () => {
    const first = await run(two());
    await hands.request(first, "b");
    await hands.end(first, "a", { status: JobStatus.TIMEOUT });
    await platform.becomes(first, "timed_out");
    expect((await tellEnd(platform, first, "b", { state: "FAILED" })).kind).toBe("ignored");

    const second = await run(two());
    await hands.request(second, "a");
    await hands.fail(second, "b");
    await platform.becomes(second, "failed");
    expect((await tellEnd(platform, second, "a", { state: "TIMEOUT" })).kind).toBe("ignored");
    expect((await platform.run(second)).status).toBe("failed");
  });

  it("8 (improved): a step whose job was cancelled makes the run cancelled", async () => {
    const runId = await run({ a: hands.job() });
    await hands.end(runId, "a", { status: JobStatus.CANCELLED });

    await platform.becomes(runId, "cancelled");
    expect(await step(runId, "a")).toMatchObject({ status: "cancelled" });
  });

  it("9 (improved): a result that is no end changes nothing", async () => {
    const runId = await run({ a: hands.job() });
    await hands.request(runId, "a");
    await hands.repeat(runId, "a", { status: JobStatus.RUNNING });
    expect(await step(runId, "a")).toMatchObject({ status: "running" });

    await hands.succeed(runId, "a");
    await platform.becomes(runId, "succeeded");
  });

  it("10 (kept): the same result twice is taken once", async () => {
    const runId = await run(two());
    await hands.succeed(runId, "a");
    await hands.repeat(runId, "a", { status: JobStatus.SUCCEEDED });
    await until("a to end", async () => (await step(runId, "a"))?.status === "succeeded");

    expect(await tellEnd(platform, runId, "a")).toMatchObject({ kind: "ignored", why: "the step is succeeded" });
    await hands.succeed(runId, "b");
    await platform.becomes(runId, "succeeded");
    expect((await platform.story(runId)).filter((line) => line === "done:a=succeeded")).toHaveLength(1);
  });

  it("11 (kept): a failed attempt waits for its backoff, error visible, and is made again", async () => {
    const runId = await run({ a: hands.job({ retry: { max_retries: 1, initial_backoff_sec: 1 } }) });
    await hands.fail(runId, "a", "first");

    const waiting = await until("a to wait", async () => {
      const found = await step(runId, "a");
      return found?.status === "pending" && found;
    });
    expect(waiting).toMatchObject({ attempts: 1, error: { message: "first" } });
    const [scheduled] = (await platform.timeline(runId)).filter(({ type }) => type === "step_retry_scheduled");
    expect((waiting.dueAt ?? 0) - (scheduled?.at ?? 0)).toBe(1_000);
    await hands.request(runId, "a@2");
    expect(await step(runId, "a")).toMatchObject({ status: "running", attempts: 2, error: { message: "first" } });
    await hands.succeed(runId, "a@2");
    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.error).toBeUndefined();
    expect(await platform.story(runId)).toEqual([
      "disp:a",
      "rs=running",
      "step_retry_scheduled:a", // new
      "disp:a",
      "done:a=succeeded",
      "rs=succeeded",
    ]);
  });

  it("12 (kept): a failure that is said twice is counted once", async () => {
    const runId = await run({ a: hands.job({ retry: { ...retried, max_retries: 3 } }) });
    await hands.fail(runId, "a");
    await until("a to wait", async () => (await step(runId, "a"))?.attempts === 1);
    await tellEnd(platform, runId, "a", { state: "FAILED" });
    await hands.request(runId, "a@2");
    expect(await tellEnd(platform, runId, "a", { state: "FAILED" })).toMatchObject({ why: "not its attempt" });

    await hands.succeed(runId, "a@2");
    await platform.becomes(runId, "succeeded");
    expect(hands.begun(runId)).toEqual(["a@1", "a@2"]);
  });

  it("13 (kept): a late success of an earlier attempt is dropped", async () => {
    const runId = await run({ a: hands.job({ retry: retried }) });
    await hands.fail(runId, "a");
    await hands.request(runId, "a@2");

    expect(await tellEnd(platform, runId, "a@1")).toEqual({ kind: "ignored", why: "not its attempt" });
    await hands.repeat(runId, "a@1", { status: JobStatus.SUCCEEDED });
    expect(await step(runId, "a")).toMatchObject({ status: "running", attempts: 2 });
  });

  it("14 (kept): the last attempt's end is the step's", async () => {
    const runId = await run({ a: hands.job({ retry: retried }) });
    await hands.fail(runId, "a");
    await hands.end(runId, "a@2", { status: JobStatus.TIMEOUT });

    await platform.becomes(runId, "timed_out");
    expect(await step(runId, "a")).toMatchObject({ status: "timed_out", attempts: 2 });
  });

  it("15 (improved): what policy denies is not tried again unless the definition says so", async () => {
    const denied = { meta: { risk_tags: ["forbidden"] } };
    const once = await run({ a: hands.job({ ...denied, retry: { ...retried, max_retries: 2 } }) });
    const thrice = await run({
      a: hands.job({ ...denied, retry: { ...retried, max_retries: 2, multiplier: 1, on: ["denied"] } }),
    });

    await platform.becomes(once, "failed");
    expect(await step(once, "a")).toMatchObject({ status: "failed", attempts: 1 });
    await platform.becomes(thrice, "failed");
    expect((await platform.story(thrice)).filter((line) => line === "disp:a")).toHaveLength(3);
  });

  it("19 (kept): timeout_sec becomes the job's deadline", async () => {
    const runId = await run({ a: hands.job({ timeout_sec: 5 }) });

    const deadlineMs = Number((await hands.request(runId, "a")).budget?.deadlineMs); // what is left of it
    expect(deadlineMs).toBeLessThanOrEqual(5_000);
    expect(deadlineMs).toBeGreaterThan(4_000);
  });

  it("20 (kept): a job that is recorded as TIMEOUT is noticed without any message", async () => {
    const runId = await run({ a: hands.job() });
    await hands.request(runId, "a");
    const jobId = `${runId}:a@1`;
    await platform.store.finish({ jobId, to: "TIMEOUT", errorCode: "", errorMessage: "" });
    platform.store.published(jobId); // nobody says it again

    await platform.becomes(runId, "timed_out");
    expect((await step(runId, "a"))?.error?.message).toBe("job state: TIMEOUT");
  });

  it("21 (kept): a job that is recorded as SUCCEEDED is noticed with its output", async () => {
    const runId = await run({ a: hands.job() });
    await hands.request(runId, "a");
    const jobId = `${runId}:a@1`;
    await platform.redis.set(`res:${jobId}`, '{"v":1}');
    await platform.store.finish({
      jobId,
      to: "SUCCEEDED",
      errorCode: "",
      errorMessage: "",
      resultPtr: `redis://res:${jobId}`,
    });
    platform.store.published(jobId);

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output).toMatchObject({ output: { v: 1 } });
  });

  it.each([2, 4_096, 4_097, 60_000])("an output of %d bytes of JSON is kept whole", async (bytes) => {
    const runId = await run({ a: hands.job() });
    const text = "é".repeat(Math.floor((bytes - 2) / 2)).padStart(bytes - 2 - Math.floor((bytes - 2) / 2), "x");

    await hands.end(runId, "a", { text: JSON.stringify(text) });

    await platform.becomes(runId, "succeeded");
    expect(Buffer.byteLength(JSON.stringify(text))).toBe(bytes);
    expect((await step(runId, "a"))?.output).toMatchObject({ output: text, isInlined: true });
  });

  it("an output that is not where it should be, or is no text, leaves the pointer", async () => {
    const runId = await run({ a: hands.job(), b: hands.job() });
    const [listed, lost] = [`res:${runId}:a@1`, `res:${runId}:b@1`];
    await platform.redis.rpush(listed, "no text");
    await hands.worker.report(await hands.taken(runId, "a"), { resultPtr: `redis://${listed}` });
    await hands.worker.report(await hands.taken(runId, "b"), { resultPtr: `redis://${lost}` });

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output).toEqual({ resultPtr: `redis://${listed}`, isInlined: false });
    expect((await step(runId, "b"))?.output).toEqual({ resultPtr: `redis://${lost}`, isInlined: false });
  });

  it("77 (improved): a result for a step that is not in the definition is dropped", async () => {
    const runId = await run({ a: hands.job() });

    expect(await tellEnd(platform, runId, "ghost@3")).toEqual({ kind: "ignored", why: "no such step" });
    expect(await step(runId, "ghost")).toBeUndefined();
  });

  it("78 (improved): a result of a step that was not dispatched is dropped", async () => {
    const runId = await run(chain());

    expect(await tellEnd(platform, runId, "b@7")).toEqual({ kind: "ignored", why: "the step has not begun" });
    await hands.request(runId, "a");
    expect((await platform.run(runId)).startedAt).toBeDefined();
    expect(hands.begun(runId)).toEqual(["a@1"]);
  });

  it("84 (improved): a step whose job policy denies fails with policy's reason", async () => {
    const runId = await run({ a: hands.job({ meta: { risk_tags: ["forbidden"] } }) });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "a")).toMatchObject({ status: "failed", error: { message: "forbidden here" } });
  });

  it("85 (kept): a step whose job people reject fails with their reason", async () => {
    const runId = await run({ a: hands.job({ meta: { risk_tags: ["delicate"] } }) });
    const jobId = `${runId}:a@1`;
    await platform.reaches(jobId, "APPROVAL_REQUIRED");
    expect(await step(runId, "a")).toMatchObject({ status: "running" });

    const { redis, bus, store, reader } = platform;
    const approvals = createApprovalReader(redis, store.shards, reader);
    const approver = { keyId: "people", principal: "eve", role: "admin", groups: [] };
    const desk = createApprovals({ approvals, jobs: reader, allowsSelf: true, bus, store });
    await desk.reject({ jobId, approver, reason: "no", note: "" });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "a")).toMatchObject({ status: "failed", error: { message: "no" } });
  });

  it("90 (kept): a dead letter that is tried again by hand does not change the run", async () => {
    const runId = await run({ a: hands.job() });
    await hands.fail(runId, "a");
    await platform.becomes(runId, "failed");

    expect((await tellEnd(platform, runId, "a@1-retry-ab12cd34")).kind).toBe("ignored");
    const other = await run({ a: hands.job() });
    await hands.request(other, "a");
    expect(await tellEnd(platform, other, "a@1-retry-ab12cd34")).toEqual({ kind: "ignored", why: "not its attempt" });
  });

  it("leaves no dead letter of an attempt that is followed by another one", async () => {
    const runId = await run({ a: hands.job({ retry: retried }) });
    await hands.fail(runId, "a");
    await hands.fail(runId, "a@2");

    await platform.becomes(runId, "failed");
    await until("the letter of the last attempt", () => platform.letter(`${runId}:a@2`));
    expect(await platform.letter(`${runId}:a@1`)).toBeUndefined();
  });
});
