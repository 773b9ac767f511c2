import type { BodyPath } from "../core/state.ts";
import { type CompiledStep, type CompiledWorkflow, compileWorkflow } from "../model/index.ts";
import { type DefinitionStore, isStartable, type StoredDefinition } from "../store/index.ts";
import type { Workflows } from "./ports.ts";

/** Versions never change, so what is compiled stays right; the least recently used leave. */
const maxKept = 500;

export function createWorkflows(definitions: DefinitionStore): Workflows {
  const compiled = new Map<string, CompiledWorkflow>();

  function known(key: string): CompiledWorkflow | undefined {
    const workflow = compiled.get(key);
    if (!workflow) return undefined;
    compiled.delete(key);
    compiled.set(key, workflow);
    return workflow;
  }

  function keep(key: string, { document, revision }: StoredDefinition): CompiledWorkflow {
    const workflow = known(key) ?? compileWorkflow(document, revision);
    compiled.set(key, workflow);
    const [oldest] = compiled.keys();
    if (compiled.size > maxKept && oldest !== undefined) compiled.delete(oldest);
    return workflow;
  }

  return {
    async version(id, version) {
      const key = `${id}|${version}`;
      const workflow = known(key);
      if (workflow) return workflow;
      const stored = await definitions.get(id, version);
      return stored && keep(key, stored);
    },
    async current(id, version, tenant) {
      const head = await definitions.head(id);
      if (!head || head.tenant !== tenant) return undefined;
      const revision = version ?? head.revision;
      const key = `${id}|${revision}`;
      const workflow = isStartable(revision, head.revision) ? known(key) : undefined;
      if (workflow) return workflow;
      const stored = await definitions.get(id, revision);
      return stored?.isStartable && stored.tenant === tenant ? keep(key, stored) : undefined;
    },
  };
}

/** The list of steps that a run executes: the definition's own, or that of a step inside it. */
export function bodyOf(workflow: CompiledWorkflow, path: BodyPath | undefined): CompiledWorkflow | undefined {
  let at: CompiledWorkflow | undefined = workflow;
  for (const { stepId, branch } of path?.steps ?? []) {
    const step: CompiledStep | undefined = at?.byId.get(stepId);
    at = branch === undefined ? step?.body : step?.branches.get(branch);
  }
  return at;
}
