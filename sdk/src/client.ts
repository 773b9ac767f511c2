import { type Client, createClient as createConnectClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ApprovalService } from "@cordum/proto/cordum/v1/approval_pb.js";
import { ArtifactService } from "@cordum/proto/cordum/v1/artifact_pb.js";
import { AuditService } from "@cordum/proto/cordum/v1/audit_pb.js";
import { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { type Job, JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { LockService } from "@cordum/proto/cordum/v1/lock_pb.js";
import { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { PolicyService } from "@cordum/proto/cordum/v1/policy_pb.js";
import { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { ScheduleService } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { SchemaService } from "@cordum/proto/cordum/v1/schema_pb.js";
import { StatusService } from "@cordum/proto/cordum/v1/status_pb.js";
import { StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import { WorkerService } from "@cordum/proto/cordum/v1/worker_pb.js";
import { WorkflowService } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { resolveGateway } from "./connection.ts";
import { type SubmitInput, type SubmitOptions, submitAndWait } from "./submit.ts";

export interface ClientOptions {
  /** Default: env CORDUM_GATEWAY, else the nearest running `cordum dev`, else `http://localhost:8081`. */
  gateway?: string;
  /** Default: env CORDUM_API_KEY, else the key of the local platform when that is the gateway. */
  apiKey?: string;
  /** Who acts, where the key does not say. */
  principal?: string;
  /** Tenant of jobs submitted with `submitAndWait` that name none. Default: the key's tenant. */
  tenant?: string;
  /** Both run over one HTTP/2 connection. Default `grpc`. */
  protocol?: "grpc" | "connect";
}

/** Every service of the control plane, typed. Calls throw ConnectError. */
export interface CordumClient {
  readonly jobs: Client<typeof JobService>;
  readonly approvals: Client<typeof ApprovalService>;
  readonly policy: Client<typeof PolicyService>;
  readonly config: Client<typeof ConfigService>;
  readonly audit: Client<typeof AuditService>;
  readonly workers: Client<typeof WorkerService>;
  readonly workflows: Client<typeof WorkflowService>;
  readonly runs: Client<typeof RunService>;
  readonly schemas: Client<typeof SchemaService>;
  readonly locks: Client<typeof LockService>;
  readonly artifacts: Client<typeof ArtifactService>;
  readonly schedules: Client<typeof ScheduleService>;
  readonly dlq: Client<typeof DlqService>;
  readonly memory: Client<typeof MemoryService>;
  readonly stream: Client<typeof StreamService>;
  readonly status: Client<typeof StatusService>;
  /**
   * Submits a job, once however often the call has to be repeated, and waits until it has ended.
   * @throws JobNotSucceededError, JobWaitTimeoutError, ConnectError
   */
  submitAndWait(job: SubmitInput, options?: SubmitOptions): Promise<Job>;
  /** Ends the connection, and with it what is under way. */
  close(): void;
}

/** A client of the gateway. It connects with the first call, and again after a loss. */
export function createClient(options: ClientOptions = {}): CordumClient {
  const { principal, tenant, protocol = "grpc" } = options;
  const { gateway, apiKey } = resolveGateway(options);
  const sessionManager = new Http2SessionManager(gateway, { pingIntervalMs: 20_000, pingIdleConnection: false });
  const interceptors = [identify(apiKey, principal)];
  const shared = { baseUrl: gateway, sessionManager, interceptors };
  const transport =
    protocol === "grpc" ? createGrpcTransport(shared) : createConnectTransport({ ...shared, httpVersion: "2" });
  const jobs = createConnectClient(JobService, transport);
  return {
    jobs,
    approvals: createConnectClient(ApprovalService, transport),
    policy: createConnectClient(PolicyService, transport),
    config: createConnectClient(ConfigService, transport),
    audit: createConnectClient(AuditService, transport),
    workers: createConnectClient(WorkerService, transport),
    workflows: createConnectClient(WorkflowService, transport),
    runs: createConnectClient(RunService, transport),
    schemas: createConnectClient(SchemaService, transport),
    locks: createConnectClient(LockService, transport),
    artifacts: createConnectClient(ArtifactService, transport),
    schedules: createConnectClient(ScheduleService, transport),
    dlq: createConnectClient(DlqService, transport),
    memory: createConnectClient(MemoryService, transport),
    stream: createConnectClient(StreamService, transport),
    status: createConnectClient(StatusService, transport),
    submitAndWait: (job, waiting) => submitAndWait(jobs, withTenant(job, tenant), waiting),
    close: () => sessionManager.abort(),
  };
}

function identify(apiKey: string | undefined, principal: string | undefined): Interceptor {
  return (next) => (request) => {
    if (apiKey) request.header.set("x-api-key", apiKey);
    if (principal) request.header.set("x-principal-id", principal);
    return next(request);
  };
}

function withTenant(job: SubmitInput, tenant: string | undefined): SubmitInput {
  return tenant === undefined || job.orgId || job.tenantId ? job : { ...job, orgId: tenant };
}
