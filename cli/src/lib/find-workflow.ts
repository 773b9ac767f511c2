import type { CallOptions } from "@connectrpc/connect";
import type { Workflow } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { CliError } from "./cli-error.ts";
import type { Clients } from "./connect.ts";
import { exitCodes } from "./exit-codes.ts";

/**
 * A definition.
 * @param revision - 0 for the current one
 * @throws CliError (not found)
 */
export async function findWorkflow(
  workflows: Clients["workflows"],
  request: { id: string; revision: number },
  options: CallOptions,
): Promise<Workflow> {
  const { workflow } = await workflows.getWorkflow(request, options);
  if (workflow !== undefined) return workflow;
  throw new CliError(exitCodes.notFound, `no workflow ${request.id}`, { code: "not_found" });
}
