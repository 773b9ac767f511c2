/** One part of a path template: a fixed text, one segment, or any number of segments. */
export type TemplatePart =
  | { kind: "literal"; text: string }
  | { kind: "segment"; suffix: string }
  | { kind: "rest"; suffix: string };

export interface PathVariable {
  /** Path of the request field, for example `["job", "id"]`. */
  field: string[];
  /** First part it covers, and the one after its last. */
  from: number;
  to: number;
}

/** A parsed `google.api.http` path. */
export interface PathTemplate {
  source: string;
  parts: TemplatePart[];
  variables: PathVariable[];
}

/**
 * Parses the path grammar of `google.api.http`: `/v1/jobs/{job_id}/cancel`, `/v1/{name=files/**}`, `/v1/jobs/{id}:stop`.
 * @throws Error when the template is malformed
 */
export function parseTemplate(source: string): PathTemplate {
  if (!source.startsWith("/")) throw new Error(`path template must start with /: ${source}`);
  if (/[{}]/.test(source.replace(/\{[^{}]*\}/g, ""))) throw new Error(`unbalanced braces in path template: ${source}`);
  const parts: TemplatePart[] = [];
  const variables: PathVariable[] = [];
  for (const piece of splitPieces(source.slice(1))) {
    const variable = /^\{([\w.]+)(?:=([^{}]+))?\}(:[\w-]+)?$/.exec(piece);
    if (!variable) {
      if (/[{}]/.test(piece)) throw new Error(`malformed variable in path template: ${source}`);
      parts.push(parsePart(piece, ""));
      continue;
    }
    const [, field = "", pattern = "*", suffix = ""] = variable;
    const from = parts.length;
    const inner = pattern.split("/");
    inner.forEach((part, index) => {
      parts.push(parsePart(part, index === inner.length - 1 ? suffix : ""));
    });
    variables.push({ field: field.split("."), from, to: parts.length });
  }
  const rest = parts.findIndex((part) => part.kind === "rest");
  if (rest >= 0 && rest !== parts.length - 1) throw new Error(`** must come last in path template: ${source}`);
  return { source, parts, variables };
}

/** Splits at slashes that are not inside braces. */
function splitPieces(path: string): string[] {
  return path.match(/(?:\{[^{}]*\}|[^/{}])+/g) ?? [];
}

function parsePart(text: string, suffix: string): TemplatePart {
  if (text === "**") return { kind: "rest", suffix };
  if (text === "*") return { kind: "segment", suffix };
  return { kind: "literal", text: text + suffix };
}
