import type { Json } from "../expressions/index.ts";
import { type Locate, ProblemList } from "./problem.ts";
import { type ReadSource, readYaml } from "./read-yaml.ts";

/** A definition as somebody wrote it: YAML 1.2 or JSON text, or the value that a JSON request held. */
export type WorkflowSource = { kind: "text"; text: string } | { kind: "value"; value: unknown };

/** Longest text, bytes of UTF-8. */
export const maxSourceBytes = 1024 * 1024;
/** Deepest nesting of lists and mappings. */
export const maxDepth = 64;

/** Turns the source into JSON that knows where it came from. Never throws. */
export function readSource(source: WorkflowSource): ReadSource {
  if (source.kind === "text") return readText(source.text);
  const problems = new ProblemList(nowhere);
  if (isJson(source.value, 0)) return { value: withoutPrototypes(source.value, problems), problems };
  problems.error("invalid_document", [], `the document is no JSON, or is nested deeper than ${maxDepth} levels`);
  return { value: undefined, problems };
}

const nowhere: Locate = () => undefined;

function readText(text: string): ReadSource {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxSourceBytes) return readYaml(text, maxDepth);
  const problems = new ProblemList(() => ({ line: 1, column: 1 }));
  problems.error("too_large", [], `the document has ${bytes} bytes; ${maxSourceBytes} are the most`);
  return { value: undefined, problems };
}

/** As in a text: such a key would turn into the prototype of what is made of the object later. */
function withoutPrototypes(value: Json, problems: ProblemList): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withoutPrototypes(item, problems));
  const entries: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") problems.error("invalid_key", [], "__proto__ cannot be a key");
    else entries.push([key, withoutPrototypes(item, problems)]);
  }
  return Object.fromEntries(entries);
}

function isJson(value: unknown, depth: number): value is Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      if (value === null) return true;
      return depth < maxDepth && Object.values(value).every((item) => isJson(item, depth + 1));
    default:
      return false;
  }
}
