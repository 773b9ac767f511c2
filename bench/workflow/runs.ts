import { fromBinary } from "@bufbuild/protobuf";
import { type RunTransition, RunTransitionsSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { subjects } from "../../src/bus/index.ts";
import { openShared } from "../../src/services/open-process.ts";
import { openWorkflows } from "../../src/services/workflows.ts";
import { loadSettings } from "../../src/settings.ts";
import { createLogger } from "../../src/telemetry/index.ts";
import { checkCron, type Json, parseWorkflow, type StepDocument } from "../../src/workflows/index.ts";

/** What the benchmark asks of runs. */
export interface Runs {
  define(id: string, steps: Record<string, StepDocument>): Promise<void>;
  /** @returns the id of the run */
  start(workflowId: string, input: { [name: string]: Json }): Promise<string>;
  /** @throws Error that names the first of the runs that has not succeeded */
  verify(runIds: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const tenant = "default";
const refuseDryRun = () => Promise.reject(new Error("the benchmark has no dry runs"));

/** Starts runs as the gateway does, with its code, in this process. Settings come from the environment. */
export async function openRuns(onTransition: (transition: RunTransition) => void): Promise<Runs> {
  const settings = loadSettings();
  const shared = await openShared(
    settings,
    "bench-runs",
    createLogger({ level: "warn", service: "bench-runs", version: "" }),
  );
  const { definitions, ports, engine, close } = await openWorkflows(shared, refuseDryRun);
  shared.bus.connection.subscribe(subjects.runEvents(tenant), {
    callback(error, message) {
      if (error) throw error;
      for (const transition of fromBinary(RunTransitionsSchema, message.data).transitions) onTransition(transition);
    },
  });
  await shared.bus.connection.flush();
  return {
    async define(id, steps) {
      const { document, problems } = parseWorkflow(
        { kind: "value", value: { id, steps: steps as unknown as Json } },
        { tenant, newId: () => id, checkCron, checkSchema: () => [] },
      );
      if (!document) throw new Error(`workflow ${id}: ${problems.map(({ message }) => message).join("; ")}`);
      await definitions.save({ document, savedBy: "bench", note: "" });
    },
    async start(workflowId, input) {
      const workflow = await ports.workflows.current(workflowId, undefined, tenant);
      if (!workflow) throw new Error(`there is no workflow ${workflowId}`);
      return (await engine.start({ workflow, tenant, input, triggeredBy: "bench" })).runId;
    },
    async verify(runIds) {
      const headers = await ports.runReader.headers(runIds);
      if (headers.length < runIds.length) throw new Error(`${runIds.length - headers.length} runs have no record`);
      const other = headers.find(({ status }) => status !== "succeeded");
      if (other) throw new Error(`run ${other.id} is ${other.status}`);
    },
    async close() {
      await close();
      await shared.close();
    },
  };
}
