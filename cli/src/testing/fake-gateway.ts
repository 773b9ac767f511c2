import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ApprovalService } from "@cordum/proto/cordum/v1/approval_pb.js";
import { AuditService } from "@cordum/proto/cordum/v1/audit_pb.js";
import { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { PolicyService } from "@cordum/proto/cordum/v1/policy_pb.js";
import { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { ScheduleService } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { StatusService } from "@cordum/proto/cordum/v1/status_pb.js";
import { StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import { WorkerService } from "@cordum/proto/cordum/v1/worker_pb.js";
import { WorkflowService } from "@cordum/proto/cordum/v1/workflow_pb.js";

type Fake<Service extends DescService> = Partial<ServiceImpl<Service>>;

/** What the fake answers. A call it does not know is `unimplemented`. */
export interface FakeServices {
  jobs?: Fake<typeof JobService>;
  approvals?: Fake<typeof ApprovalService>;
  policy?: Fake<typeof PolicyService>;
  config?: Fake<typeof ConfigService>;
  audit?: Fake<typeof AuditService>;
  workers?: Fake<typeof WorkerService>;
  workflows?: Fake<typeof WorkflowService>;
  runs?: Fake<typeof RunService>;
  schedules?: Fake<typeof ScheduleService>;
  dlq?: Fake<typeof DlqService>;
  memory?: Fake<typeof MemoryService>;
  stream?: Fake<typeof StreamService>;
  status?: Fake<typeof StatusService>;
}

export interface FakeGateway extends AsyncDisposable {
  url: string;
  /** The `x-api-key` of each call, in order. */
  keys: (string | null)[];
  /** The `x-principal-id` of each call, in order. */
  principals: (string | null)[];
}

/** A gateway on a free loopback port that speaks gRPC and answers with hand-written services. */
export async function startFakeGateway(services: FakeServices, port = 0): Promise<FakeGateway> {
  const keys: (string | null)[] = [];
  const principals: (string | null)[] = [];
  const recordCaller: Interceptor = (next) => (request) => {
    keys.push(request.header.get("x-api-key"));
    principals.push(request.header.get("x-principal-id"));
    return next(request);
  };
  const handler = connectNodeAdapter({
    interceptors: [recordCaller],
    routes: (router) =>
      router
        .service(JobService, services.jobs ?? {})
        .service(ApprovalService, services.approvals ?? {})
        .service(PolicyService, services.policy ?? {})
        .service(ConfigService, services.config ?? {})
        .service(AuditService, services.audit ?? {})
        .service(WorkerService, services.workers ?? {})
        .service(WorkflowService, services.workflows ?? {})
        .service(RunService, services.runs ?? {})
        .service(ScheduleService, services.schedules ?? {})
        .service(DlqService, services.dlq ?? {})
        .service(MemoryService, services.memory ?? {})
        .service(StreamService, services.stream ?? {})
        .service(StatusService, services.status ?? {}),
  });
  const server = createServer(handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys,
    principals,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
