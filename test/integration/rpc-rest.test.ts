import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keys, startFakeServer } from "../support/fake-services.ts";

let fake: Awaited<ReturnType<typeof startFakeServer>>;
beforeAll(async () => {
  fake = await startFakeServer({ maxRequestBytes: 4096 });
});
afterAll(() => fake.server.close(1000));

async function call(path: string, init: RequestInit = {}, key: string | undefined = keys.admin) {
  const headers = { ...(key === undefined ? {} : { "x-api-key": key }), ...(init.headers as Record<string, string>) };
  const response = await fetch(fake.url + path, { ...init, headers });
  const text = await response.text();
  const json = (response.headers.get("content-type") ?? "").includes("json") && !text.includes("}\n{");
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: json && text ? JSON.parse(text) : undefined,
  };
}

const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  call(path, { method: "POST", body, headers });

describe("REST routes", () => {
  it("decode path parameters after matching", async () => {
    const { body } = await call(`/api/v1/jobs/${encodeURIComponent("run/1:step[2]@1")}`);
    const raw = await call("/api/v1/jobs/run:step[2]@1");

    expect([body.id, raw.body.id]).toEqual(["run/1:step[2]@1", "run:step[2]@1"]);
  });

  it("prefer fixed text to variables and keep verbs apart", async () => {
    const page = await call("/api/v1/dlq/page");
    const entry = await call("/api/v1/dlq/pages");
    const batch = await post("/api/v1/jobs:batch", JSON.stringify({ jobs: [{}, {}] }));

    expect([page.body.items.length, entry.body.job_id, batch.body.results.length]).toEqual([1, "pages", 2]);
  });

  it("answer a bare member where the route says so, also on an additional route", async () => {
    const workers = await call("/api/v1/workers");
    const none = await call("/api/v1/workers?pool=empty");
    const entries = await call("/api/v1/dlq");

    expect([workers.body[0].worker_id, none.body, entries.body[0].job_id]).toEqual(["w-1", [], "job-1"]);
  });

  it("answer HEAD like GET, without a body", async () => {
    const { status, text, headers } = await call("/api/v1/jobs/j", { method: "HEAD" });

    expect([status, text]).toEqual([200, ""]);
    expect(Number(headers.get("content-length"))).toBeGreaterThan(100);
  });

  it("answer 204 when there is nothing to say", async () => {
    const { status, text } = await call("/api/v1/dlq/j", { method: "DELETE" });

    expect([status, text]).toEqual([204, ""]);
  });

  it("stream one document a line and end with the error", async () => {
    const fine = await call("/api/v1/jobs/j/watch");
    const broken = await call("/api/v1/jobs/breaks-later/watch");
    const missing = await call("/api/v1/jobs/missing/watch");

    const lines = (text: string) =>
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(fine.headers.get("content-type")).toContain("application/x-ndjson");
    expect(lines(fine.text).map(({ job }) => job.id)).toEqual(["j", "j"]);
    expect(lines(broken.text)[2]).toEqual({ error: { code: "internal", message: "internal error" } });
    expect([missing.status, missing.body.code]).toEqual([404, "not_found"]);
  });
});

describe("REST JSON", () => {
  it("has snake_case names, every field, exact numbers and short enum names", async () => {
    const { body } = await call("/api/v1/jobs/j");

    expect(body).toMatchObject({ state: "PENDING", updated_at: 1_760_000_000_000_000, trace_id: "", risk_tags: [] });
  });

  it("reads query parameters by their proto names and enums in any case, with or without prefix", async () => {
    for (const state of ["PENDING", "pending", "JOB_STATE_PENDING", "job_state_pending"]) {
      const { body } = await call(
        `/api/v1/jobs?state=${state}&page_size=7&topic=job.a&updated_after=9007199254740993&x=y`,
      );

      expect(body.items[0].id).toBe("state=1 page_size=7 topic=job.a updated_after=9007199254740993");
    }
  });

  it("reads a body, nested JSON included, and takes the idempotency key from a header too", async () => {
    const fromBody = await post(
      "/api/v1/jobs",
      '{"topic":"job.a","context":{"a":[1]},"idempotency_key":"k1","what":1}',
      {
        "idempotency-key": "header",
      },
    );
    const fromHeader = await post("/api/v1/jobs", '{"topic":"job.a"}', { "idempotency-key": "header" });

    expect(JSON.parse(fromBody.body.job_id)).toEqual(["job.a", "structValue", "k1"]);
    expect(JSON.parse(fromHeader.body.job_id)).toEqual(["job.a", "", "header"]);
  });

  it.each([
    ["objects", (inner: unknown) => ({ a: inner })],
    ["lists", (inner: unknown) => [inner]],
  ])("may nest 48 levels of %s; deeper ones are refused, and the error names the field", async (_, around) => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : around(nested(levels - 1)));
    const submit = (levels: number) =>
      post("/api/v1/jobs", JSON.stringify({ topic: "job.x", context: nested(levels), unknown: nested(60) }));

    expect((await submit(48)).status).toBe(200);
    const { status, body } = await submit(49);
    expect([status, body.code]).toEqual([400, "invalid_argument"]);
    expect(body.message).toBe("context: is nested deeper than 48 levels");
  });

  it("accepts an empty body", async () => {
    const { body } = await call("/api/v1/jobs/j/cancel", { method: "POST" });

    expect(body).toEqual({ id: "j", state: "CANCELLED", reason: "" });
  });

  it("comes compressed when it is large and the client can read that", async () => {
    const jobs = JSON.stringify({ jobs: Array.from({ length: 400 }, () => ({})) });
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const headers = { "x-api-key": keys.admin, "accept-encoding": "gzip" };
      const outgoing = request(`${fake.url}/api/v1/jobs:batch`, { method: "POST", headers }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk);
        expect(response.headers["content-encoding"]).toBe("gzip");
        resolve(Buffer.concat(chunks));
      });
      outgoing.on("error", reject);
      outgoing.end(jobs);
    });

    expect(JSON.parse(gunzipSync(bytes).toString()).results).toHaveLength(400);
  });
});

describe("REST errors", () => {
  it.each([
    ["a missing key", () => call("/api/v1/jobs/j", {}, ""), 401, "unauthenticated"],
    ["a wrong key", () => call("/api/v1/jobs/j", {}, "wrong"), 401, "unauthenticated"],
    [
      "a role without the permission",
      () => call("/api/v1/dlq/j", { method: "DELETE" }, keys.viewer),
      403,
      "permission_denied",
    ],
    ["an unknown record", () => call("/api/v1/jobs/missing"), 404, "not_found"],
    ["an unknown path", () => call("/api/v1/nothing"), 404, "not_found"],
    ["a path with an empty segment", () => call("/api/v1//jobs"), 404, "not_found"],
    ["a failure of ours", () => call("/api/v1/jobs/crash"), 500, "internal"],
    ["a busy dependency", () => call("/api/v1/jobs/busy"), 503, "unavailable"],
    [
      "a body that is too large",
      () => post("/api/v1/jobs/j/cancel", `{"reason":"${"x".repeat(5000)}"}`),
      413,
      "resource_exhausted",
    ],
    ["a compressed body", () => post("/api/v1/jobs", "{}", { "content-encoding": "gzip" }), 415, "invalid_argument"],
    ["malformed percent-encoding", () => call("/api/v1/jobs/%zz"), 400, "invalid_argument"],
  ])("answer %s with status and code", async (_what, act, status, code) => {
    const response = await act();

    expect(response.headers.get("content-type")).toContain("application/json");
    expect([response.status, response.body.code]).toEqual([status, code]);
    expect(response.text).not.toContain("secret detail");
  });

  it("says which methods a path knows", async () => {
    const { status, headers, body } = await call("/api/v1/jobs/j", { method: "PUT" });

    expect([status, headers.get("allow"), body.code]).toEqual([405, "GET, HEAD, OPTIONS", "unimplemented"]);
  });

  it.each([
    ["page_size", () => call("/api/v1/jobs?page_size=many")],
    ["page_size", () => call("/api/v1/jobs?page_size=501")],
    ["page_size", () => call("/api/v1/jobs?page_size=99999999999")],
    ["state", () => call("/api/v1/jobs?state=SLEEPING")],
    ["omit_payloads", () => call("/api/v1/jobs/j?omit_payloads=perhaps")],
    ["topic", () => post("/api/v1/jobs", '{"topic":7}')],
    ["labels", () => post("/api/v1/jobs", '{"labels":[]}')],
    ["jobs[1].risk_tags", () => post("/api/v1/jobs:batch", '{"jobs":[{},{"risk_tags":[{}]}]}')],
  ])("name the field %s", async (field, act) => {
    const { status, body } = await act();
    const violations = body.details.find(({ type }: { type: string }) => type === "google.rpc.BadRequest");

    expect([status, body.code]).toEqual([400, "invalid_argument"]);
    expect(violations.debug.fieldViolations[0].field).toBe(field);
    expect(body.message).toContain(field);
  });

  it("say when to come back", async () => {
    const { headers } = await call("/api/v1/jobs/busy");

    expect(headers.get("retry-after")).toBe("2");
  });
});

describe("the edge", () => {
  it("echoes a request id and makes one where there is none or a bad one", async () => {
    const given = await call("/api/v1/jobs/j", { headers: { "x-request-id": "abc-1" } });
    const bad = await call("/api/v1/jobs/j", { headers: { "x-request-id": "a b {}" } });

    expect(given.headers.get("x-request-id")).toBe("abc-1");
    expect(bad.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("lets local pages call, with PUT, and turns other origins away", async () => {
    const preflight = await call(
      "/api/v1/jobs",
      { method: "OPTIONS", headers: { origin: "http://localhost:3000" } },
      "",
    );
    const foreign = await call("/api/v1/jobs", { headers: { origin: "https://evil.example" } });

    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([
      204,
      "http://localhost:3000",
    ]);
    expect(preflight.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("X-API-Key");
    expect([foreign.status, foreign.body.code]).toEqual([403, "permission_denied"]);
  });

  it("takes the key as a bearer token too", async () => {
    const { status } = await call("/api/v1/jobs/j", { headers: { authorization: `Bearer ${keys.admin}` } }, "");

    expect(status).toBe(200);
  });

  it("answers probes without a key, and reports a failing dependency", async () => {
    const own = await startFakeServer();
    own.health.add("redis", () => {
      throw new Error("connection refused");
    });

    const [text, live, ready] = await Promise.all(
      ["/health", "/healthz", "/readyz"].map((path) => fetch(own.url + path)),
    );

    expect([await text?.text(), live?.status, ready?.status]).toEqual(["ok", 200, 503]);
    expect(await ready?.json()).toEqual({ status: "unavailable", checks: { redis: "connection refused" } });
    await own.server.close(100);
  });

  it("limits the calls of one key and leaves others alone", async () => {
    const own = await startFakeServer({ rateLimit: { requestsPerSecond: 1, burst: 2 } });
    const get = (key: string) => fetch(`${own.url}/api/v1/status`, { headers: { "x-api-key": key } });

    const statuses = [];
    for (let n = 0; n < 3; n++) statuses.push(await get(keys.admin));
    const other = await get(keys.viewer);

    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(statuses[2]?.headers.get("retry-after")).toBe("1");
    expect(other.status).toBe(200);
    await own.server.close(100);
  });

  it("describes itself as OpenAPI", async () => {
    const { body } = await call("/openapi.json", {}, "");

    const list = body.paths["/api/v1/jobs"].get;
    expect(body.openapi).toBe("3.1.0");
    expect(list.parameters.map(({ name }: { name: string }) => name)).toContain("page_size");
    expect(list["x-cordum-permission"]).toBe("jobs.read");
    expect(body.paths["/api/v1/dlq"].get.responses["200"].content["application/json"].schema.type).toBe("array");
    expect(body.components.schemas["cordum.v1.Job"].properties.state.enum).toContain("PENDING");
    const names = (JSON.stringify(body).match(/#\/components\/schemas\/[\w.]+/g) ?? []).map((ref) => ref.split("/")[3]);
    expect(names.filter((name) => !(String(name) in body.components.schemas))).toEqual([]);
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(["/api/v1/jobs:batch", "/api/v1/jobs/{job_id}"]));
  });
});
