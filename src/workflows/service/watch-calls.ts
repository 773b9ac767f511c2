import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type RunService, WatchRunResponseSchema, WatchRunsResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { requireTenant } from "../../auth/index.ts";
import { callerKey } from "../../rpc/index.ts";
import type { RunAccess, RunServiceDeps } from "./run-access.ts";
import { createRunListener } from "./run-listener.ts";
import { toEventMessage } from "./run-message.ts";
import { begunSteps, maxPayloadBytes, outlineRun, showRun, workflowOf } from "./show-run.ts";
import { watchRun, watchRuns } from "./watch-run.ts";

type WatchCalls = Pick<ServiceImpl<typeof RunService>, "watchRun" | "watchRuns" | "waitRun">;

const defaultWaitMs = 30_000;

/** Calls that wait for runs to change. */
export function createWatchCalls({ ports }: RunServiceDeps, { visible, whole }: RunAccess): WatchCalls {
  const { runReader, bus } = ports;
  const listener = createRunListener(bus);

  return {
    async *watchRun({ id, withEvents }, context) {
      const first = await visible(id, context);
      const workflow = await workflowOf(ports, first);
      const options = { withEvents, signal: context.signal };
      for await (const { header, events } of watchRun({ listener, runReader }, first, options)) {
        const run = await outlineRun(ports, header, begunSteps(workflow, header));
        yield create(WatchRunResponseSchema, { run, events: events.map((event) => toEventMessage(header, event)) });
      }
    },
    async *watchRuns({ orgId, workflowId }, context) {
      const caller = context.values.get(callerKey);
      const tenant = caller.crossTenant && !orgId ? undefined : requireTenant(caller, orgId);
      const isWanted = (transition: { tenant: string; workflowId: string }) =>
        (tenant === undefined || transition.tenant === tenant) && (!workflowId || transition.workflowId === workflowId);
      for await (const transitions of watchRuns(listener, isWanted, context.signal)) {
        yield create(WatchRunsResponseSchema, { transitions });
      }
    },
    async waitRun({ id, timeoutMs }, context) {
      const header = await visible(id, context);
      const deadline = AbortSignal.timeout(Number(timeoutMs) || defaultWaitMs);
      const options = { withEvents: false, signal: AbortSignal.any([context.signal, deadline]) };
      for await (const _change of watchRun({ listener, runReader }, header, options));
      return { run: await showRun(ports, await whole(header, maxPayloadBytes)) };
    },
  };
}
