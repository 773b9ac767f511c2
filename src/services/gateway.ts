import { readFile } from "node:fs/promises";
import { CordumApi } from "@cordum/proto/cordum/v1/api_pb.js";
import { ApprovalService } from "@cordum/proto/cordum/v1/approval_pb.js";
import { ArtifactService } from "@cordum/proto/cordum/v1/artifact_pb.js";
import { AuditService } from "@cordum/proto/cordum/v1/audit_pb.js";
import { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { JobService } from "@cordum/proto/cordum/v1/job_pb.js";
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
import { createApprovalReader, createApprovalService, createApprovals } from "../approvals/index.ts";
import { createArtifactService, createArtifactStore } from "../artifacts/index.ts";
import { createAuditReader, createAuditService, createCallAuditor, createOpenCalls } from "../audit/index.ts";
import { createAuthenticator } from "../auth/index.ts";
import { createBundleStore, createPolicyService, createShadowStore } from "../bundles/index.ts";
import { subjects } from "../bus/index.ts";
import { createConfigService } from "../config/index.ts";
import { createDlqService } from "../dlq/index.ts";
import { createCordumApi, createJobService, createJobs } from "../jobs/index.ts";
import { createLockService, createLocks } from "../locks/index.ts";
import { createMemoryService } from "../memory/index.ts";
import type { PolicyKernel } from "../policy/index.ts";
import { type Authenticator, createRpcServer, type HealthRegistry } from "../rpc/index.ts";
import { createSchemaService } from "../schemas/index.ts";
import type { Settings } from "../settings.ts";
import { createStatusService } from "../status/index.ts";
import { createStreamHub, createStreamService, createStreamSocketHandler } from "../streams/index.ts";
import { createWorkerService } from "../workers/index.ts";
import {
  createRunService,
  createRunTenants,
  createScheduleService,
  createScheduleStore,
  createWorkflowService,
} from "../workflows/index.ts";
import { build } from "./build.ts";
import type { Shared } from "./open-process.ts";
import { readPolicyKey } from "./policy.ts";
import type { RunningService } from "./service.ts";
import type { WorkflowParts } from "./workflows.ts";

const services = [
  JobService,
  ApprovalService,
  CordumApi,
  AuditService,
  WorkerService,
  StreamService,
  StatusService,
  DlqService,
  MemoryService,
  ConfigService,
  PolicyService,
  ScheduleService,
  SchemaService,
  LockService,
  ArtifactService,
  WorkflowService,
  RunService,
];

/**
 * Who may call, by the keys in the settings.
 * @throws Error when there is no key and CORDUM_INSECURE_NO_AUTH does not say that none is wanted
 */
export function openAuthenticator({ auth }: Settings): Authenticator {
  const { apiKeys, apiKey, insecureNoAuth, tenantId } = auth;
  return createAuthenticator({ apiKeys, apiKey, defaultTenant: tenantId, allowAnonymous: insecureNoAuth });
}

/** Every API on one port. */
export async function startGateway(
  shared: Shared,
  authenticator: Authenticator,
  health: HealthRegistry,
  kernel: PolicyKernel,
  workflows: WorkflowParts,
): Promise<RunningService> {
  const { settings, log, redis, bus, store, reader, payloads, deadLetters, registry, config, chains } = shared;
  const { tenantId } = settings.auth;
  const jobs = createJobs({ store, reader, bus });
  const { schemas } = workflows.ports;
  const hub = createStreamHub({ bus, reader, log });
  const approvals = createApprovalReader(redis, store.shards, reader);
  const voting = { approvals, jobs: reader, allowsSelf: settings.auth.allowSelfApproval };
  const decisions = createApprovals({ ...voting, bus, store });
  const server = createRpcServer({
    routes: (router) => {
      router.service(JobService, createJobService({ jobs, reader, payloads }));
      router.service(ApprovalService, createApprovalService({ ...voting, decisions, hub }));
      router.service(CordumApi, createCordumApi({ jobs, reader, payloads }));
      router.service(WorkerService, createWorkerService({ registry }));
      router.service(StreamService, createStreamService({ hub }));
      router.service(StatusService, createStatusService({ redis, bus, registry, build, natsUrl: settings.nats.url }));
      router.service(
        DlqService,
        createDlqService({ store: deadLetters, jobs, reader, payloads, defaultTenant: tenantId }),
      );
      router.service(ConfigService, createConfigService({ config }));
      router.service(AuditService, createAuditService({ chains, reader: createAuditReader(redis, chains) }));
      router.service(PolicyService, openPolicyService(shared, kernel));
      const schedules = createScheduleStore(redis, settings.store.shards);
      const scheduleDeps = { ...workflows.ports, engine: workflows.engine, config, schedules };
      router.service(ScheduleService, createScheduleService(scheduleDeps));
      router.service(SchemaService, createSchemaService({ registry: schemas, defaultTenant: tenantId }));
      router.service(LockService, createLockService({ locks: createLocks(redis, { defaultTenant: tenantId }) }));
      router.service(
        ArtifactService,
        createArtifactService({
          store: createArtifactStore(redis),
          reader,
          ttls: settings.artifacts.ttlMs,
          maxBytes: settings.artifacts.maxBytes,
          defaultTenant: tenantId,
        }),
      );
      const runTenant = createRunTenants(redis, settings.store.shards);
      router.service(MemoryService, createMemoryService({ redis, reader, defaultTenant: tenantId, runTenant }));
      router.service(WorkflowService, createWorkflowService(workflows));
      router.service(RunService, createRunService({ ...workflows, config }));
    },
    services,
    auditor: createCallAuditor({ chains, open: createOpenCalls(redis), log }),
    authenticator,
    log,
    health,
    version: build.version,
    ...(settings.gateway.allowedOrigins && { cors: { allowedOrigins: settings.gateway.allowedOrigins } }),
    rateLimit: { requestsPerSecond: settings.gateway.rateLimitRps, burst: settings.gateway.rateLimitBurst },
    ...(await readTls(settings)),
    webSocket: { path: "/api/v1/stream", permission: "stream.read", onConnect: createStreamSocketHandler({ hub }) },
  });
  const { host, port } = settings.gateway.addr;
  const { port: bound } = await server.listen(host, port);
  log.info({ port: bound }, "gateway listens");
  return {
    port: bound,
    close: async (graceMs) => {
      await server.close(graceMs);
      await hub.close();
    },
  };
}

function openPolicyService({ settings, redis, bus, reader, config }: Shared, kernel: PolicyKernel) {
  return createPolicyService({
    kernel,
    store: createBundleStore(redis),
    shadows: createShadowStore(redis),
    reader,
    effectiveConfigOf: (ids) => config.effectiveConfigOf(ids),
    announce: () => bus.connection.publish(subjects.policyEvents),
    publicKey: readPolicyKey(settings),
    areSignaturesRequired: settings.policy.requireSignedBundles,
    areBundlesUsed: !settings.policy.ignoreBundles,
    defaultTenant: settings.auth.tenantId,
  });
}

async function readTls({ gateway }: Settings) {
  const { certFile, keyFile } = gateway.tls;
  if (!certFile || !keyFile) return {};
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return { tls: { cert, key } };
}
