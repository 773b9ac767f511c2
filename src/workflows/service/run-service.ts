import type { ServiceImpl } from "@connectrpc/connect";
import type { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { createControlCalls } from "./control-calls.ts";
import { createLookCalls } from "./look-calls.ts";
import { createRunAccess, type RunServiceDeps } from "./run-access.ts";
import { createStartCalls } from "./start-calls.ts";
import { createWatchCalls } from "./watch-calls.ts";

/** Holds one subscription to the bus while somebody watches. */
export function createRunService(deps: RunServiceDeps): ServiceImpl<typeof RunService> {
  const access = createRunAccess(deps.ports);
  return {
    ...createStartCalls(deps, access),
    ...createLookCalls(deps, access),
    ...createControlCalls(deps, access),
    ...createWatchCalls(deps, access),
  };
}
