import type { Client } from "@connectrpc/connect";
import { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { WorkflowService } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { pino } from "pino";
import { createAuthenticator } from "../../src/auth/index.ts";
import { type AuditedCall, type Caller, createHealthRegistry, createRpcServer } from "../../src/rpc/index.ts";
import { createRunService, createWorkflowService } from "../../src/workflows/index.ts";
import { callerOf, clientAs } from "./client-as.ts";
import type { WorkflowPlatform } from "./workflow-platform.ts";

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what the server has sent
  body: any;
  headers: Headers;
}

export interface WorkflowApi {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly audited: readonly AuditedCall[];
  /** Calls `/api/v1<path>`. Keys: `admin` (ada), `user`, `viewer`, `approver` (bob), `acme`, `root` (all tenants). */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>;
  runs(caller?: Partial<Caller>): Client<typeof RunService>;
  workflows(caller?: Partial<Caller>): Client<typeof WorkflowService>;
  close(): Promise<void>;
}

export interface CallOptions {
  key?: string;
  headers?: Record<string, string>;
}

/** Both services on a port of their own, and in memory. */
export async function startWorkflowApi(platform: WorkflowPlatform): Promise<WorkflowApi> {
  const { definitions, ports, engine, config } = platform;
  const services = {
    workflows: createWorkflowService({ definitions, ports }),
    runs: createRunService({ definitions, ports, engine, config }),
  };
  const audited: AuditedCall[] = [];
  const server = createRpcServer({
    routes: (router) => {
      router.service(WorkflowService, services.workflows);
      router.service(RunService, services.runs);
    },
    services: [WorkflowService, RunService],
    authenticator: createAuthenticator({
      apiKeys:
        "default:admin:admin:ada,default:user:user,default:viewer:viewer,default:approver:approver:bob,acme:acme:admin,*:root:admin",
      apiKey: undefined,
      defaultTenant: "default",
      allowAnonymous: false,
    }),
    auditor: {
      refused: async (call) => void audited.push(call),
      begin: async (call) => async () => void audited.push(call),
    },
    rateLimit: false,
    log: pino({ level: "silent" }),
    health: createHealthRegistry(),
    version: "test",
  });
  const url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}`;
  return {
    url,
    audited,
    async call(method, path, body, { key = "admin", headers = {} } = {}) {
      const init = { method, headers: { "x-api-key": key, ...headers } };
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const response = await fetch(`${url}/api/v1${path}`, body === undefined ? init : { ...init, body: text });
      const answer = await response.text();
      return { status: response.status, body: answer ? JSON.parse(answer) : undefined, headers: response.headers };
    },
    runs: (caller = {}) => clientAs(RunService, services.runs, callerOf(caller)),
    workflows: (caller = {}) => clientAs(WorkflowService, services.workflows, callerOf(caller)),
    close: () => server.close(1_000),
  };
}
