import type { Workflows } from "../engine/index.ts";
import type { CompiledStep, CompiledWorkflow } from "../model/index.ts";

/** Workflows within workflows that are looked into; runs do not nest deeper in practice, and what is deeper may ask. */
const maxDepth = 8;

/**
 * Steps at which people have their say: approvals, signals, and steps with one of these anywhere inside. A workflow of a
 * `subworkflow` step counts as it is now; one that cannot be read may ask.
 */
export async function findAsking(
  workflows: Pick<Workflows, "current">,
  workflow: CompiledWorkflow,
  tenant: string,
): Promise<ReadonlySet<string>> {
  const known = new Map<string, boolean>();

  async function anyAsks({ steps }: CompiledWorkflow, depth: number): Promise<boolean> {
    for (const step of steps) if (await asks(step, depth)) return true;
    return false;
  }

  async function asks(step: CompiledStep, depth: number): Promise<boolean> {
    if (step.kind === "approval" || step.kind === "signal") return true;
    for (const inner of [...step.branches.values(), ...(step.body ? [step.body] : [])]) {
      if (await anyAsks(inner, depth)) return true;
    }
    return step.unit === "subworkflow" && (await otherAsks(step, depth + 1));
  }

  async function otherAsks({ document }: CompiledStep, depth: number): Promise<boolean> {
    const { workflow_id: id = "", workflow_version: version } = document;
    const key = `${id}|${version ?? ""}`;
    const answer = known.get(key);
    if (answer !== undefined) return answer;
    known.set(key, true); // one that starts itself may
    const other = depth > maxDepth ? undefined : await workflows.current(id, version, tenant);
    const isAsking = other === undefined || (await anyAsks(other, depth));
    known.set(key, isAsking);
    return isAsking;
  }

  const asking: string[] = [];
  for (const step of workflow.steps) if (await asks(step, 0)) asking.push(step.id);
  return new Set(asking);
}
