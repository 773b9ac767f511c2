import { usageError } from "./cli-error.ts";

const scopes = ["system", "org", "team", "workflow", "step"];

export interface ConfigTarget {
  scope: string;
  scopeId: string;
}

/**
 * `org/acme`, `system` or `system/default`.
 * @throws CliError (usage) for an unknown scope, or one whose id is missing
 */
export function parseConfigTarget(text: string): ConfigTarget {
  const at = text.indexOf("/");
  const scope = at < 0 ? text : text.slice(0, at);
  const scopeId = at < 0 ? "" : text.slice(at + 1);
  if (!scopes.includes(scope)) throw usageError(`"${scope}" is not a scope: ${scopes.join(", ")}`);
  if (scope === "system") return { scope, scopeId: scopeId || "default" };
  if (scopeId === "") throw usageError(`scope ${scope} needs an id: ${scope}/<id>`);
  return { scope, scopeId };
}

/** `org/acme`. */
export function formatTarget({ scope, scopeId }: ConfigTarget): string {
  return `${scope}/${scopeId}`;
}
