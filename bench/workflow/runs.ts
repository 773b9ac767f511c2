import type { JsonObject } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RunService, RunStatus, type RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";
import { WorkflowService } from "@cordum/proto/cordum/v1/workflow_pb.js";

/** What the benchmark asks of runs. */
export interface Runs {
  define(id: string, steps: object): Promise<void>;
  /** @returns the id of the run */
  start(workflowId: string, input: object): Promise<string>;
  /** Several in one call. @returns the ids of the runs @throws Error when one of them is refused */
  startMany(workflowId: string, input: object, count: number): Promise<string[]>;
  /** Tells of changes of all runs. Rejects when the stream ends before the signal says so. */
  follow(onTransition: (transition: RunTransition) => void, signal: AbortSignal): Promise<void>;
  /** @throws Error that names the first of the runs that has not succeeded */
  verify(runIds: readonly string[]): Promise<void>;
}

/** Over gRPC, on one HTTP/2 session. */
export function connectRuns(gatewayUrl: string, apiKey: string): Runs {
  const authenticate: Interceptor = (next) => (request) => {
    request.header.set("x-api-key", apiKey);
    return next(request);
  };
  const transport = createGrpcTransport({
    baseUrl: gatewayUrl,
    interceptors: [authenticate],
    acceptCompression: [], // both ends share a machine
  });
  const workflows = createClient(WorkflowService, transport);
  const runs = createClient(RunService, transport);
  return {
    async define(id, steps) {
      await workflows.saveWorkflow({ document: { id, steps: steps as JsonObject } });
    },
    async start(workflowId, input) {
      return (await runs.startRun({ workflowId, input: input as JsonObject })).runId;
    },
    async startMany(workflowId, input, count) {
      const run = { workflowId, input: input as JsonObject };
      const { results } = await runs.startRuns({ runs: Array.from({ length: count }, () => run) });
      const refused = results.find(({ errorMessage }) => errorMessage);
      if (refused) throw new Error(refused.errorMessage);
      return results.map(({ runId }) => runId);
    },
    async follow(onTransition, signal) {
      for await (const { transitions } of runs.watchRuns({}, { signal })) transitions.forEach(onTransition);
      throw new Error("the stream of runs has ended");
    },
    async verify(runIds) {
      for (const id of runIds) {
        const { run } = await runs.getRun({ id });
        if (run?.status !== RunStatus.SUCCEEDED) throw new Error(`run ${id} is ${RunStatus[run?.status ?? 0]}`);
      }
    },
  };
}
