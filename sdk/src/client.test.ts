import { constants, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { SubmitJobRequest } from "@cordum/proto/cordum/v1/api_pb.js";
import { JobSchema, JobService, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CordumClient,
  createClient,
  JobNotSucceededError,
  JobWaitTimeoutError,
  jobInput,
  jobResult,
} from "./index.ts";
import { toValue } from "./value.ts";

let server: Http2Server;
let gateway: string;
let client: CordumClient;
let submitted: SubmitJobRequest[];
let seenHeaders: Headers;
/** Failures to answer with before submits and waits succeed. */
let failures: Code[];
/** What each WaitJob answers; the last one stays. */
let states: Omit<MessageInitShape<typeof JobSchema>, "$typeName">[];

function routes(router: ConnectRouter): void {
  const failFirst = () => {
    const code = failures.shift();
    if (code !== undefined) throw new ConnectError("not now", code);
  };
  router.service(JobService, {
    submitJob(request, context: HandlerContext) {
      seenHeaders = context.requestHeader;
      submitted.push(request);
      failFirst();
      return { jobId: "job-1", traceId: "job-1" };
    },
    waitJob() {
      failFirst();
      const state = states.length > 1 ? states.shift() : states[0];
      return { job: create(JobSchema, { id: "job-1", ...state }) };
    },
  });
}

beforeEach(async () => {
  submitted = [];
  failures = [];
  states = [
    { state: JobState.SUCCEEDED, result: toValue({ greeting: "hi", n: [1] }), context: toValue({ name: "Ada" }) },
  ];
  server = createServer(connectNodeAdapter({ routes }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  gateway = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  client = createClient({ gateway, apiKey: "key-1", principal: "ada", tenant: "acme" });
});

afterEach(async () => {
  client.close();
  await new Promise((resolve) => server.close(resolve));
});

describe("submitAndWait()", () => {
  it("submits plain JSON and gives the job with its result", async () => {
    const job = await client.submitAndWait({ topic: "job.hello", input: { name: "Ada" }, deadlineMs: 500 });

    expect(jobResult(job)).toEqual({ greeting: "hi", n: [1] });
    expect(jobInput(job)).toEqual({ name: "Ada" });
    expect(submitted[0]).toMatchObject({
      topic: "job.hello",
      deadlineMs: 500n,
      orgId: "acme",
      context: toValue({ name: "Ada" }),
    });
  });

  it.each(["grpc", "connect"] as const)("says who asks, over %s", async (protocol) => {
    client.close();
    client = createClient({ gateway, apiKey: "key-1", principal: "ada", protocol });

    await client.submitAndWait({ topic: "job.hello" });

    expect(seenHeaders.get("x-api-key")).toBe("key-1");
    expect(seenHeaders.get("x-principal-id")).toBe("ada");
    expect(seenHeaders.get("content-type")).toContain(protocol === "grpc" ? "application/grpc" : "application/proto");
  });

  it("repeats a submit under one idempotency key while the gateway is away", async () => {
    failures = [Code.Unavailable, Code.Unavailable];

    await client.submitAndWait({ topic: "job.hello" });

    expect(submitted).toHaveLength(3);
    expect(new Set(submitted.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(submitted[0]?.idempotencyKey).not.toBe("");
  });

  it.each<[string, (stream: ServerHttp2Stream) => void]>([
    ["the connection breaks", ({ session }) => session?.socket.destroy()],
    ["the connection is closed", ({ session }) => session?.destroy()],
    ["a gateway that shuts down refuses it", (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM)],
  ])("repeats a call when %s under it", async (_, harm) => {
    server.prependOnceListener("stream", harm);

    const job = await client.submitAndWait({ topic: "job.hello" });

    expect(job.state).toBe(JobState.SUCCEEDED);
    expect(new Set(submitted.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
  });

  it("keeps the caller's idempotency key", async () => {
    await client.submitAndWait({ topic: "job.hello", idempotencyKey: "mine" });

    expect(submitted[0]?.idempotencyKey).toBe("mine");
  });

  it("goes on waiting while the job goes on", async () => {
    states = [{ state: JobState.PENDING }, { state: JobState.RUNNING }, { state: JobState.SUCCEEDED }];

    expect((await client.submitAndWait({})).state).toBe(JobState.SUCCEEDED);
  });

  it("throws with reason and rule when policy refuses the job", async () => {
    states = [{ state: JobState.DENIED, safetyReason: "no prod writes", safetyRuleId: "deny-prod" }];

    const failed = client.submitAndWait({ topic: "job.hello" });

    await expect(failed).rejects.toThrow(JobNotSucceededError);
    await expect(failed).rejects.toMatchObject({
      message: "job job-1 ended as DENIED: no prod writes (rule deny-prod)",
      reason: "no prod writes",
      ruleId: "deny-prod",
      job: { id: "job-1" },
    });
  });

  it("throws with the worker's message when the job fails", async () => {
    states = [{ state: JobState.FAILED, errorCode: "card_declined", errorMessage: "the card was declined" }];

    await expect(client.submitAndWait({})).rejects.toThrow("job job-1 ended as FAILED: the card was declined");
  });

  it("gives up after the time to wait, with the job as it is", async () => {
    states = [{ state: JobState.RUNNING }];

    const waiting = client.submitAndWait({}, { timeoutMs: 100 });

    await expect(waiting).rejects.toThrow(JobWaitTimeoutError);
    await expect(waiting).rejects.toMatchObject({ jobId: "job-1", job: { state: JobState.RUNNING } });
  });

  it("stops when told to", async () => {
    states = [{ state: JobState.RUNNING }];
    const controller = new AbortController();

    const waiting = client.submitAndWait({}, { signal: controller.signal });
    controller.abort(new Error("enough"));

    await expect(waiting).rejects.toThrow("enough");
  });

  it("passes a refused request on at once", async () => {
    failures = [Code.InvalidArgument];

    await expect(client.submitAndWait({})).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(submitted).toHaveLength(1);
  });
});
