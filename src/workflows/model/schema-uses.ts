import type { JsonObject } from "./document.ts";
import type { Path, ProblemList } from "./problem.ts";

/** The schemas of one definition, as they are found. */
export interface SchemaUses {
  /** Those that stand in it. */
  inline: { path: Path; schema: JsonObject }[];
  /** Those that it names by id. */
  named: { path: Path; id: string }[];
}

/**
 * Objects in all schemas of one definition, equal schemas counted once: whoever may check a definition has each of them
 * compiled, at a third of a millisecond.
 */
const maxNodes = 5_000;

/** The schemas that stand in a definition, each once, with the places where it stands. */
export interface DistinctSchema {
  schema: JsonObject;
  paths: Path[];
}

/** @returns undefined when they are too large to be looked at; that is reported */
export function distinctSchemas({ inline }: SchemaUses, problems: ProblemList): DistinctSchema[] | undefined {
  const known = new Map<string, DistinctSchema>();
  let nodes = 0;
  for (const { path, schema } of inline) {
    const text = JSON.stringify(schema);
    const same = known.get(text);
    if (same) {
      same.paths.push(path);
      continue;
    }
    nodes += countNodes(schema);
    if (nodes > maxNodes) {
      problems.error("schemas_too_large", path, `more than ${maxNodes} objects in the schemas of the definition`, {
        hint: "register schemas, and name them by their ids",
      });
      return undefined;
    }
    known.set(text, { schema, paths: [path] });
  }
  return [...known.values()];
}

/** What code is generated for: objects, and the schemas `true` and `false`. */
function countNodes(value: unknown): number {
  if (typeof value === "boolean") return 1;
  if (typeof value !== "object" || value === null) return 0;
  const own = Array.isArray(value) ? 0 : 1;
  return Object.values(value).reduce<number>((sum, item) => sum + countNodes(item), own);
}
