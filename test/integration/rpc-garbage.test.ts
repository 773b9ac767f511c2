import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "@cordum/proto/google/api/annotations_pb.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeServices, keys, startFakeServer } from "../support/fake-services.ts";

let fake: Awaited<ReturnType<typeof startFakeServer>>;
beforeAll(async () => {
  fake = await startFakeServer({ maxRequestBytes: 64 * 1024 });
});
afterAll(() => fake.server.close(500));

const methods = fakeServices.flatMap((service) => service.methods);
const rpcPaths = methods.map((method) => `/${method.parent.typeName}/${method.name}`);
const restRoutes = methods.flatMap((method) => {
  if (!hasOption(method, http)) return [];
  const { pattern } = getOption(method, http);
  if (pattern.case === undefined || pattern.case === "custom") return [];
  return [{ verb: pattern.case.toUpperCase(), path: pattern.value.replace(/\{[^}]+\}/g, "x") }];
});

const garbage: [string, Uint8Array<ArrayBuffer>][] = [
  ["nothing", bytes([])],
  ["half a JSON object", bytes('{"topic":')],
  ["JSON that is no object", bytes("[1,2,3]")],
  ["a JSON string", bytes('"text"')],
  ["wrong types everywhere", bytes('{"job_id":{},"topic":[],"jobs":7,"labels":"x","page_size":{},"context":[{}]}')],
  [
    "names that mean something to JavaScript",
    bytes(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"labels":{"__proto__":"x","toString":"y"},"context":{"__proto__":{"polluted":1}}}',
    ),
  ],
  ["very deep nesting", bytes(`{"context":${"[".repeat(20_000)}${"]".repeat(20_000)}}`)],
  ["invalid UTF-8", bytes([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ["random bytes", bytes(Array.from({ length: 300 }, (_, index) => (index * 7919) % 256))],
  ["a truncated protobuf field", bytes([0x0a, 0x7f, 0x41])],
  ["a protobuf group that never ends", bytes([0x0b, 0x0b, 0x0b])],
  ["an envelope longer than its content", bytes([0, 0, 0, 0, 9, 1])],
  ["an envelope that claims 4 GiB", bytes([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])],
  ["a compressed envelope of nonsense", bytes([1, 0, 0, 0, 3, 1, 2, 3])],
  ["more than the limit", bytes("x".repeat(100_000))],
];

const contentTypes = [
  "application/json",
  "application/proto",
  "application/connect+json",
  "application/connect+proto",
  "application/grpc",
  "application/grpc-web+proto",
  "text/plain",
];

describe("garbage", () => {
  it.each(garbage)("on every RPC, in every content type, is answered: %s", async (_what, body) => {
    for (const type of contentTypes) {
      const answers = await Promise.all(rpcPaths.map((path) => tell("POST", path, body, { "content-type": type })));

      for (const { status, text } of answers) expectHarmless(status, text);
    }
    await expectAlive();
  });

  it.each(garbage)("on every REST route is answered in the error shape: %s", async (_what, body) => {
    const answers = await Promise.all(
      restRoutes.map(({ verb, path }) => tell(verb, path, verb === "GET" ? undefined : body)),
    );

    for (const { status, text } of answers) {
      expectHarmless(status, text);
      if (status >= 400)
        expect(JSON.parse(text)).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    }
    await expectAlive();
  });

  it("in JSON bodies of a REST route never breaks the server", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.string(), async (value, name) => {
        const body = bytes(JSON.stringify({ [name]: value, context: value, labels: value, priority: "batch" }));
        const { status, text } = await tell("POST", "/api/v1/jobs", body);
        expectHarmless(status, text);
        return status === 200 || status === 400;
      }),
      { numRuns: 60 },
    );
  });

  it("in paths and queries never breaks the server", async () => {
    const paths = [
      "//",
      "/%",
      "/api/v1/jobs/%ff",
      "/api/v1/jobs/..%2f..%2fetc",
      "/api/v1/jobs?=&&a&%zz=%zz",
      "/?__proto__=1",
    ];
    const answers = await Promise.all([
      ...paths.map((path) =>
        raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-API-Key: ${keys.admin}\r\nConnection: close\r\n\r\n`),
      ),
      raw(`GET http://[bad/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
      raw(`POST /cordum.v1.JobService/GetJob HTTP/1.0\r\nContent-Type: application/json\r\n\r\n`),
      raw(`GET /api/v1/jobs/x HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n`),
      raw("NOT HTTP AT ALL\r\n\r\n"),
    ]);

    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 [2-4]\d\d /);
    await expectAlive();
  });

  it("after the HTTP/2 preface ends that connection only", async () => {
    await raw(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"garbage".repeat(100)}`);
    await raw("PRI * HTTP/2.0\r\nmore");
    await raw("PR");

    await expectAlive();
  });

  it("of truncated calls leaves nothing behind", async () => {
    for (let n = 0; n < 20; n++) {
      const session = connectHttp2(fake.url);
      session.on("error", () => undefined);
      const stream = session.request({
        ":method": "POST",
        ":path": "/cordum.v1.JobService/SubmitJob",
        "content-type": "application/grpc",
        "x-api-key": keys.admin,
      });
      stream.on("error", () => undefined);
      stream.write(Buffer.from([0, 0, 0, 0, 50, 1]));
      await new Promise((resolve) => stream.once("ready", resolve).once("close", resolve));
      session.destroy();
    }

    await expectAlive();
  });

  it("of the caller is the caller's error: truncated protobuf is not internal", async () => {
    const { status, text } = await tell("POST", "/cordum.v1.JobService/GetJob", bytes([0x0a, 0x7f, 0x41]), {
      "content-type": "application/proto",
    });

    expect([status, JSON.parse(text).code]).toEqual([400, "invalid_argument"]);
  });

  it("in the form of unsupported methods and types is named", async () => {
    const wrongType = await tell("POST", "/cordum.v1.JobService/GetJob", bytes("x"), { "content-type": "text/plain" });
    const wrongVerb = await tell("PUT", "/cordum.v1.JobService/GetJob", bytes("x"));

    expect([wrongType.status, wrongVerb.status]).toEqual([415, 405]);
    expect(JSON.parse(wrongType.text).message).toContain("text/plain");
  });
});

async function tell(
  method: string,
  path: string,
  body?: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(300); // endless streams are read for a moment only
  try {
    const response = await fetch(fake.url + path, {
      method,
      headers: { "x-api-key": keys.admin, ...headers },
      signal,
      ...(body ? { body } : {}),
    });
    const { status } = response;
    return { status, text: await response.text().catch(() => "") };
  } catch (reason) {
    if (signal.aborted) return { status: 200, text: "" };
    throw reason;
  }
}

function raw(text: string): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(fake.port, "127.0.0.1", () => socket.end(text));
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(received));
  });
}

function expectHarmless(status: number, text: string): void {
  expect(status).toBeLessThan(500);
  expect(text).not.toMatch(/\n {4}at |node_modules|secret detail/);
  expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
}

async function expectAlive(): Promise<void> {
  const response = await fetch(`${fake.url}/api/v1/jobs/alive`, { headers: { "x-api-key": keys.admin } });
  expect(response.status).toBe(200);
}

function bytes(from: string | number[]): Uint8Array<ArrayBuffer> {
  return typeof from === "string" ? new TextEncoder().encode(from) : new Uint8Array(from);
}
