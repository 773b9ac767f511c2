/** A place in a definition. */
export interface Place {
  /** For example `steps.review.depends_on[0]`; empty for the document itself. */
  path: string;
  /** From 1; absent when the document was not given as text. */
  line?: number;
  column?: number;
}

/** Something that is wrong with a definition, or that is probably not meant. An error keeps it from being saved. */
export interface Problem extends Place {
  severity: "error" | "warning";
  /** Lower snake case, for example `unknown_field`, `cycle`. */
  code: string;
  message: string;
  /** What to write instead. */
  hint?: string;
}

/** Keys and indices from the document's root. */
export type Path = readonly (string | number)[];

export interface ProblemDetails {
  /** A function is called only when the problem is shown: similar names take time to find. */
  hint?: string | undefined | (() => string | undefined);
  /** Point at the key, not at the value behind it. */
  atKey?: boolean;
  /** Point at this character of the text that stands there. */
  offset?: number | undefined;
}

/** Where something stands in the source text; undefined when there is none. */
export type Locate = (path: Path, details: ProblemDetails) => { line: number; column: number } | undefined;

/** `steps.review.depends_on[0]`, `steps.a.input."a b"`. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const key = /^[\w-]+$/.test(part) ? part : JSON.stringify(part);
    return text === "" ? key : `${text}.${key}`;
  }, "");
}

/** More are not shown: they are echoes of the first, or nobody reads them. */
export const maxProblems = 100;

/** Collects what is wrong with one document. */
export class ProblemList {
  readonly #errors: Problem[] = [];
  readonly #warnings: Problem[] = [];
  readonly #locate: Locate;

  constructor(locate: Locate) {
    this.#locate = locate;
  }

  get hasErrors(): boolean {
    return this.#errors.length > 0;
  }

  error(code: string, path: Path, message: string, details: ProblemDetails = {}): void {
    this.#add("error", this.#errors, { code, path, message, details });
  }

  /** An error about fields of which at least one is needed. */
  missing(fields: readonly string[], path: Path): void {
    if (this.hasErrorAt(fields, path)) return;
    const words = fields.length === 1 ? fields[0] : `one of ${fields.join(", ")}`;
    this.error("missing_field", path, `${words} is missing`);
  }

  /** Whether one of the fields, or something in it, has an error: that it is missing would be an echo. */
  hasErrorAt(fields: readonly string[], path: Path): boolean {
    const places = fields.map((field) => formatPath([...path, field]));
    return this.#errors.some((error) => places.some((place) => error.path.startsWith(place)));
  }

  warning(code: string, path: Path, message: string, details: ProblemDetails = {}): void {
    this.#add("warning", this.#warnings, { code, path, message, details });
  }

  placeOf(path: Path, details: ProblemDetails = {}): Place {
    return { path: formatPath(path), ...this.#locate(path, details) };
  }

  /** At most 100, errors rather than warnings, in the order of the text when there is one. */
  list(): Problem[] {
    const all = [...this.#errors, ...this.#warnings].slice(0, maxProblems);
    return all.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  }

  #add(
    severity: Problem["severity"],
    list: Problem[],
    { code, path, message, details }: { code: string; path: Path; message: string; details: ProblemDetails },
  ): void {
    if (list.length >= maxProblems) return;
    const hint = typeof details.hint === "function" ? details.hint() : details.hint;
    list.push({ severity, code, message, ...(hint === undefined ? {} : { hint }), ...this.placeOf(path, details) });
  }
}
