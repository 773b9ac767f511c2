import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { GetJobRequestSchema, GetJobResponseSchema, JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { Health, HealthCheckResponse_ServingStatus } from "@cordum/proto/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@cordum/proto/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@cordum/proto/grpc/reflection/v1alpha/reflection_pb.js";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keys, startFakeServer, updatedAt } from "../support/fake-services.ts";
import { testTls } from "../support/test-tls.ts";

let fake: Awaited<ReturnType<typeof startFakeServer>>;
beforeAll(async () => {
  fake = await startFakeServer();
});
afterAll(() => fake.server.close(1000));

const asAdmin = { headers: { "x-api-key": keys.admin } };

const transports: [string, (baseUrl: string) => Transport][] = [
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-web over HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["Connect over HTTP/1.1, proto", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2, proto", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["Connect, JSON", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
  ["Connect, GET", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true })],
];

describe.each(transports)("%s", (_name, toTransport) => {
  const client = () => createClient(JobService, toTransport(fake.url));

  it("answers a unary call", async () => {
    const { job } = await client().getJob({ jobId: "run-1:step[2]@1" }, asAdmin);

    expect(job).toMatchObject({ id: "run-1:step[2]@1", updatedAt });
  });

  it("streams", async () => {
    const ids: (string | undefined)[] = [];
    for await (const { job } of client().watchJob({ jobId: "j" }, asAdmin)) ids.push(job?.id);

    expect(ids).toEqual(["j", "j"]);
  });

  it("carries a domain error with its details", async () => {
    const missing = await failure(client().getJob({ jobId: "missing" }, asAdmin));
    const busy = await failure(client().getJob({ jobId: "busy" }, asAdmin));

    expect(missing).toMatchObject({ code: Code.NotFound, rawMessage: "no job missing" });
    expect(missing.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "job_not_found", domain: "cordum.io" }]);
    expect(busy.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n, nanos: 500_000_000 } }]);
  });

  it("says nothing about an unexpected failure, before or within a stream", async () => {
    const received: unknown[] = [];
    const drain = async () => {
      for await (const message of client().watchJob({ jobId: "breaks-later" }, asAdmin)) received.push(message);
    };

    const unary = await failure(client().getJob({ jobId: "crash" }, asAdmin));
    const late = await failure(drain());

    expect(received).toHaveLength(2);
    for (const error of [unary, late])
      expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
  });

  it("names the field that breaks a rule, also on the request of a stream", async () => {
    const unary = await failure(client().getJob({ jobId: "" }, asAdmin));
    const stream = await failure(client().watchJob({ jobId: "" }, asAdmin)[Symbol.asyncIterator]().next());

    for (const error of [unary, stream]) {
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("job_id");
    }
  });

  it("refuses calls without a key, with a wrong key, and without the permission", async () => {
    const missing = await failure(client().getJob({ jobId: "j" }, {}));
    const wrong = await failure(client().getJob({ jobId: "j" }, { headers: { "x-api-key": "wrong" } }));
    const forbidden = await failure(client().cancelJob({ jobId: "j" }, { headers: { "x-api-key": keys.worker } }));

    expect([missing.code, wrong.code]).toEqual([Code.Unauthenticated, Code.Unauthenticated]);
    expect(forbidden).toMatchObject({ code: Code.PermissionDenied });
    expect(forbidden.rawMessage).toContain("jobs.cancel");
  });

  it("stops the handler at the caller's deadline", async () => {
    const error = await failure(client().submitJob({ topic: "job.slow" }, { ...asAdmin, timeoutMs: 50 }));

    expect(error.code).toBe(Code.DeadlineExceeded);
  });

  it("gives the handler the key's tenant, role and bound principal", async () => {
    const bound = await client().submitJob({}, { headers: { "x-api-key": keys.acme, "x-principal-id": "mallory" } });
    const free = await client().submitJob({}, { headers: { "x-api-key": keys.admin, "x-principal-id": "bob" } });

    expect([bound.traceId, free.traceId]).toEqual(["acme/ada/user", "default/bob/admin"]);
  });
});

describe("a client of another library (grpc-js)", () => {
  const open = () => new Client(`127.0.0.1:${fake.port}`, credentials.createInsecure());
  const call = (client: Client, jobId: string, key: string) => {
    const metadata = new Metadata();
    metadata.set("api-key", key);
    return new Promise<string | undefined>((resolve, reject) => {
      client.makeUnaryRequest(
        "/cordum.v1.JobService/GetJob",
        (id: string) => Buffer.from(toBinary(GetJobRequestSchema, create(GetJobRequestSchema, { jobId: id }))),
        (bytes: Buffer) => fromBinary(GetJobResponseSchema, bytes).job?.id,
        jobId,
        metadata,
        (error, id) => (error ? reject(error) : resolve(id)),
      );
    });
  };

  it("calls, and reads codes, with its key in metadata api-key", async () => {
    const client = open();

    const answers = await Promise.allSettled([
      call(client, "j", keys.admin),
      call(client, "missing", keys.admin),
      call(client, "j", "wrong"),
    ]);

    client.close();
    expect(answers).toMatchObject([
      { value: "j" },
      { reason: { code: status.NOT_FOUND, details: "no job missing" } },
      { reason: { code: status.UNAUTHENTICATED } },
    ]);
  });

  it("learns that a method does not exist", async () => {
    const client = open();
    const raw = (value: Buffer) => value;

    const error = await new Promise((resolve) => {
      client.makeUnaryRequest("/cordum.v1.JobService/Nope", raw, raw, Buffer.alloc(0), (failed) => resolve(failed));
    });

    client.close();
    expect(error).toMatchObject({ code: status.UNIMPLEMENTED });
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
] as const)("server reflection %s", (_version, service) => {
  it("lists the services and gives files with all they import, without a key", async () => {
    const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl: fake.url }));
    async function* questions() {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      yield { messageRequest: { case: "fileContainingSymbol" as const, value: "cordum.v1.JobService" } };
      yield { messageRequest: { case: "fileByFilename" as const, value: "nope.proto" } };
      yield {
        messageRequest: {
          case: "fileContainingExtension" as const,
          value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 50101 },
        },
      };
    }

    const answers = [];
    for await (const { messageResponse } of client.serverReflectionInfo(questions())) answers.push(messageResponse);

    const [services, files, unknown, extension] = answers;
    expect(services?.case === "listServicesResponse" && services.value.service.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["cordum.v1.JobService", "grpc.health.v1.Health"]),
    );
    const names =
      files?.case === "fileDescriptorResponse"
        ? files.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
        : [];
    expect(names[0]).toBe("cordum/v1/job.proto");
    expect(names).toEqual(expect.arrayContaining(["cordum/v1/api.proto", "google/protobuf/descriptor.proto"]));
    expect(unknown).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
    expect(extension?.case).toBe("fileDescriptorResponse");
  });
});

describe("grpc.health.v1", () => {
  it("reports and watches readiness without a key", async () => {
    const own = await startFakeServer();
    const client = createClient(Health, createGrpcTransport({ baseUrl: own.url }));
    const stop = new AbortController();
    const watch = client.watch({ service: "cordum.v1.JobService" }, { signal: stop.signal })[Symbol.asyncIterator]();

    const before = await client.check({});
    const first = await watch.next();
    own.health.drain();
    const second = await watch.next();
    const unknown = await failure(client.check({ service: "nope" }));

    stop.abort();
    await own.server.close(1000);
    const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
    expect([before.status, first.value?.status, second.value?.status]).toEqual([SERVING, SERVING, NOT_SERVING]);
    expect(unknown.code).toBe(Code.NotFound);
  });
});

describe("the plaintext port", () => {
  it("serves REST over HTTP/2 with prior knowledge", async () => {
    const session = connectHttp2(fake.url);
    const stream = session.request({ ":path": "/api/v1/jobs/j", "x-api-key": keys.admin });
    const headers = new Promise((resolve) => stream.once("response", resolve));
    let body = "";
    for await (const chunk of stream) body += chunk;

    expect(await headers).toMatchObject({ ":status": 200 });
    expect(JSON.parse(body)).toMatchObject({ id: "j" });
    session.close();
  });
});

describe("with TLS", () => {
  it("serves HTTP/2 and HTTP/1.1 as the client asks by ALPN", async () => {
    const own = await startFakeServer({ tls: testTls });
    const baseUrl = `https://127.0.0.1:${own.port}`;
    const nodeOptions = { rejectUnauthorized: false };
    const client = createClient(JobService, createGrpcTransport({ baseUrl, nodeOptions }));

    const { job } = await client.getJob({ jobId: "j" }, asAdmin);
    const restStatus = await new Promise((resolve) => {
      const headers = { "x-api-key": keys.admin };
      httpsRequest(`${baseUrl}/api/v1/jobs/j`, { ...nodeOptions, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });

    await own.server.close(500);
    expect([job?.id, restStatus]).toEqual(["j", 200]);
  });
});

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  const outcome = await promise.then(
    () => new Error("the call went well"),
    (reason: unknown) => reason,
  );
  if (outcome instanceof ConnectError) return outcome;
  throw outcome;
}
