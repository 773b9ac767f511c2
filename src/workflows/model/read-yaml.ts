import { type Alias, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Json } from "../expressions/index.ts";
import { type Path, type ProblemDetails, ProblemList } from "./problem.ts";
import { offsetInside } from "./text-offset.ts";
import { findExcess, type LimitProblem } from "./yaml-limits.ts";

export interface ReadSource {
  /** Undefined when there is nothing to go on with. */
  value: Json | undefined;
  problems: ProblemList;
}

/** Nodes that aliases may add to a document: far more than people write, far less than a bomb of aliases. */
const maxAliasNodes = 20_000;

/** More are echoes of the first. */
const maxSyntaxErrors = 5;

/** Reads one document of YAML 1.2 (of which JSON is a part), aliases and merge keys resolved. Never throws. */
export function readYaml(text: string, maxDepth: number): ReadSource {
  const excess = findExcess(text, maxDepth);
  if (excess !== undefined) return { value: undefined, problems: excessProblem(text, excess) };
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    schema: "core",
    merge: true,
    uniqueKeys: false, // checked below: the library's check is quadratic
    prettyErrors: false,
    logLevel: "error",
    lineCounter,
  });
  const place = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  let syntaxAt = 0;
  const reader = new YamlReader(text, maxDepth);
  const problems = new ProblemList((path, details) =>
    place(path === syntaxPath ? syntaxAt : reader.offsetOf(document.contents, path, details)),
  );
  const reportAt = (severity: "error" | "warning", code: string, offset: number, message: string, details = {}) => {
    syntaxAt = offset;
    problems[severity](code, syntaxPath, message, details);
  };
  for (const { code, message, pos } of document.errors.slice(0, maxSyntaxErrors)) {
    if (code === "RESOURCE_EXHAUSTION") {
      reportAt("error", "too_deep", pos[0], `the document is nested deeper than ${maxDepth} levels`);
      break; // the parser gave up here: whatever follows is its echo
    }
    const hint = lineAt(text, pos[0]).includes("${") ? { hint: `put what holds "\${...}" in quotes` } : {};
    const words = code === "MULTIPLE_DOCS" ? "the text holds more than one document" : `not valid YAML: ${message}`;
    reportAt("error", "syntax", pos[0], words, hint);
  }
  for (const { message, pos } of document.warnings) reportAt("warning", "syntax", pos[0], message);
  if (document.errors.length > 0) return { value: undefined, problems };
  try {
    return { value: reader.read(document.contents, reportAt), problems };
  } catch (reason) {
    if (!(reason instanceof StopReading)) throw reason;
    reportAt("error", reason.code, reason.offset, reason.message);
    return { value: undefined, problems };
  }
}

function excessProblem(text: string, { code, message, offset }: LimitProblem): ProblemList {
  const before = text.slice(0, offset).split("\n");
  const problems = new ProblemList(() => ({ line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }));
  problems.error(code, [], message);
  return problems;
}

/** Stands for the document itself at an offset that no path leads to. */
const syntaxPath: Path = [];

type ReportAt = (severity: "error" | "warning", code: string, offset: number, message: string) => void;

/** Reading stops here. */
class StopReading extends Error {
  readonly code: string;
  readonly offset: number;
  constructor(code: string, offset: number, message: string) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

/** Turns the library's nodes into JSON, and finds them again by path. */
class YamlReader {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #anchors = new Map<string, Node>();
  readonly #aliases = new Map<Alias, Node>();
  #aliasDepth = 0;
  #aliasNodes = 0;
  #reportAt: ReportAt = () => undefined;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  read(contents: unknown, reportAt: ReportAt): Json {
    this.#reportAt = reportAt;
    return this.#read(contents, 0);
  }

  #read(given: unknown, depth: number): Json {
    if (!isNode(given)) return null;
    const at = startOf(given) ?? 0;
    if (this.#aliasDepth > 0 && ++this.#aliasNodes > maxAliasNodes) {
      throw new StopReading("too_large", at, "the aliases of the document multiply it too often");
    }
    if (isAlias(given)) return this.#readAlias(given, at, depth);
    if (given.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(given.anchor, given);
    if (isScalar(given)) return this.#scalar(given.value, at);
    if (depth >= this.#maxDepth) {
      throw new StopReading("too_deep", at, `the document is nested deeper than ${this.#maxDepth} levels`);
    }
    if (isSeq(given)) return given.items.map((item) => this.#read(item, depth + 1));
    return Object.fromEntries(isMap(given) ? this.#readPairs(given.items, at, depth) : []);
  }

  #readAlias(alias: Alias, at: number, depth: number): Json {
    const target = this.#targetOf(alias, at);
    this.#aliasDepth += 1;
    const value = this.#read(target, depth + 1);
    this.#aliasDepth -= 1;
    return value;
  }

  /** What an alias stands for: the latest anchor of its name before it. */
  #targetOf(alias: Alias, at: number): Node {
    const target = this.#aliases.get(alias) ?? this.#anchors.get(alias.source);
    if (target === undefined) {
      throw new StopReading("syntax", at, `no anchor &${alias.source} comes before this alias`);
    }
    this.#aliases.set(alias, target);
    return target;
  }

  #scalar(value: unknown, at: number): Json {
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#reportAt("error", "wrong_type", at, `${value} is not a number of JSON`);
      else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        this.#reportAt("warning", "inexact_number", at, "the number is too large to be kept exactly; put it in quotes");
      }
      return value;
    }
    return typeof value === "string" || typeof value === "boolean" ? value : null;
  }

  #readPairs(pairs: readonly { key: unknown; value: unknown }[], mapAt: number, depth: number): Map<string, Json> {
    const members = new Map<string, Json>();
    const merged: [string, Json][] = [];
    for (const { key, value } of pairs) {
      const at = startOf(key) ?? mapAt;
      if (isMergeKey(key)) {
        const sources = this.#read(value, depth);
        for (const source of Array.isArray(sources) ? sources : [sources]) {
          if (typeof source === "object" && source !== null) merged.push(...Object.entries(source));
          else this.#reportAt("error", "syntax", at, "<< takes a mapping or a list of mappings");
        }
        continue;
      }
      const name = this.#keyOf(key, at);
      const member = this.#read(value, depth + 1);
      if (name === undefined) continue;
      if (members.has(name))
        this.#reportAt("error", "duplicate_key", at, `the key ${JSON.stringify(name)} occurs twice`);
      else members.set(name, member);
    }
    for (const [name, member] of merged) if (!members.has(name)) members.set(name, member);
    return members;
  }

  #keyOf(key: unknown, at: number): string | undefined {
    const value = isScalar(key) ? key.value : undefined;
    if (typeof value === "string" && value !== "__proto__") return value;
    const message = value === "__proto__" ? "__proto__ cannot be a key" : "a key must be a text; put it in quotes";
    this.#reportAt("error", "invalid_key", at, message);
    return undefined;
  }

  /** Where the node at the end of a path begins, or the last one on the way that is there. */
  offsetOf(contents: unknown, path: Path, { atKey, offset }: ProblemDetails): number {
    let node = this.#resolve(contents);
    let at = startOf(node) ?? 0;
    for (const [index, part] of path.entries()) {
      const pair = this.#childOf(node, part);
      if (pair === undefined) return at;
      const keyAt = startOf(pair.key) ?? at;
      at = atKey && index === path.length - 1 ? keyAt : (startOf(pair.value) ?? keyAt);
      node = this.#resolve(pair.value);
    }
    if (offset === undefined || !isScalar(node) || typeof node.value !== "string") return at;
    const [start, end] = node.range ?? [at, at];
    return start + offsetInside(this.#text.slice(start, end), node.value, offset);
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? this.#aliases.get(node) : node;
  }

  #childOf(node: unknown, part: string | number): { key?: unknown; value: unknown } | undefined {
    if (isSeq(node))
      return typeof part === "number" && part < node.items.length ? { value: node.items[part] } : undefined;
    if (!isMap(node)) return undefined;
    const named = node.items.filter(({ key }) => isScalar(key) && typeof key.value === "string");
    const nameOf = ({ key }: { key: unknown }) => (isScalar(key) ? String(key.value) : "");
    return (
      named.find((pair) => nameOf(pair) === part) ??
      named.find((pair) => nameOf(pair).toLowerCase() === String(part).toLowerCase()) ??
      this.#mergedChildOf(node.items, part)
    );
  }

  #mergedChildOf(pairs: readonly { key: unknown; value: unknown }[], part: string | number) {
    for (const { key, value } of pairs) {
      if (!isMergeKey(key)) continue;
      const source = this.#resolve(value);
      for (const item of isSeq(source) ? source.items : [source]) {
        const child = this.#childOf(this.#resolve(item), part);
        if (child !== undefined) return child;
      }
    }
    return undefined;
  }
}

function lineAt(text: string, offset: number): string {
  const end = text.indexOf("\n", offset);
  return text.slice(text.lastIndexOf("\n", offset - 1) + 1, end < 0 ? undefined : end);
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && (key.value === "<<" || typeof key.value === "symbol") && key.type === "PLAIN";
}
