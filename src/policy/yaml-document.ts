import {
  type Alias,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from "yaml";
import type { PolicyProblem } from "./problem.ts";

/** A place in a YAML document: a node with the path that leads to it. */
export interface YamlPlace {
  readonly node: Node | null;
  readonly path: string;
  /** Where to point when nothing stands at the place itself. */
  readonly near?: Node | undefined;
}

/** One member of a mapping. */
export interface YamlEntry {
  readonly key: string;
  readonly keyPlace: YamlPlace;
  readonly value: YamlPlace;
}

/** A parsed YAML document that knows where everything stands, and collects what is wrong with it. */
export interface YamlDocument {
  readonly root: YamlPlace;
  readonly problems: PolicyProblem[];
  /** Records a problem at a place. */
  report(severity: PolicyProblem["severity"], place: YamlPlace, message: string): void;
  /** The members of a mapping in order, merged ones (`<<`) last; undefined when the place holds no mapping. */
  entries(place: YamlPlace): readonly YamlEntry[] | undefined;
  /** The items of a sequence; undefined when the place holds none. */
  items(place: YamlPlace): readonly YamlPlace[] | undefined;
  /** Line of the place, from 1. */
  lineOf(place: YamlPlace): number;
}

/**
 * Parses the first document of a YAML (or JSON) stream. Syntax errors and duplicate keys are among the problems;
 * integers come as bigints, floats as numbers.
 */
export function parseYaml(text: string, file: string): YamlDocument {
  const lineCounter = new LineCounter();
  const parsed = parseDocument(text, {
    schema: "core",
    merge: true,
    intAsBigInt: true,
    prettyErrors: false,
    uniqueKeys: false, // checked below: the library's check is quadratic
    logLevel: "error",
    lineCounter,
  });
  const problems: PolicyProblem[] = [];
  const positionOf = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const report: YamlDocument["report"] = (severity, place, message) => {
    problems.push({ severity, file, ...positionOf(startOf(place)), path: place.path, message });
  };
  for (const { pos, code, message } of parsed.errors) {
    const place = { file, ...positionOf(pos[0]), path: "" };
    if (code === "MULTIPLE_DOCS") {
      problems.push({ severity: "warning", ...place, message: "only the first document of the file is read" });
    } else if (code === "RESOURCE_EXHAUSTION") {
      problems.push({ severity: "error", ...place, message: "the document is nested too deeply" });
      break; // the parser gave up here: whatever follows is its echo
    } else {
      problems.push({ severity: "error", ...place, message: `not valid YAML: ${message}` });
    }
  }
  const aliases = resolveAliases(parsed.contents, (alias) =>
    report("error", { node: alias, path: "" }, `no anchor &${alias.source} comes before this alias`),
  );
  const resolved = (node: Node | null): Node | null => (isAlias(node) ? (aliases.get(node) ?? null) : node);
  const merged = new Map<YAMLMap, readonly YamlEntry[]>();
  const ownEntries = (map: YAMLMap, path: string): readonly YamlEntry[] => {
    const known = merged.get(map);
    if (known !== undefined) return known.map((entry) => moved(entry, path));
    merged.set(map, []); // a mapping that merges itself stops here
    const entries = collectEntries(map, path, { report, resolved, ownEntries });
    merged.set(map, entries);
    return entries;
  };
  return {
    root: { node: resolved(parsed.contents), path: "" },
    problems,
    report,
    entries: ({ node, path }) => (isMap(node) ? ownEntries(node, path) : undefined),
    items: ({ node, path }) =>
      isSeq(node)
        ? node.items.map((item, index) => ({ node: resolved(asNode(item)), path: `${path}[${index}]` }))
        : undefined,
    lineOf: (place) => positionOf(startOf(place)).line,
  };
}

/** What each alias stands for. An alias refers to the latest anchor of its name before it. */
function resolveAliases(contents: Node | null, onUnknown: (alias: Alias) => void): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const aliases = new Map<Alias, Node>();
  if (contents === null) return aliases;
  visit(contents, {
    Node(_key, node) {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target === undefined) onUnknown(node);
        else aliases.set(node, target);
      } else if ((isScalar(node) || isCollection(node)) && node.anchor !== undefined) {
        anchors.set(node.anchor, node);
      }
    },
  });
  return aliases;
}

interface EntryContext {
  report: YamlDocument["report"];
  resolved(node: Node | null): Node | null;
  ownEntries(map: YAMLMap, path: string): readonly YamlEntry[];
}

function collectEntries(map: YAMLMap, path: string, context: EntryContext): YamlEntry[] {
  const entries = new Map<string, YamlEntry>();
  const sources: YAMLMap[] = [];
  for (const pair of map.items as Pair[]) {
    const keyNode = context.resolved(asNode(pair.key));
    const keyPlace = { node: keyNode ?? map, path };
    const value = context.resolved(asNode(pair.value));
    if (isMergeKey(keyNode)) {
      const merging = isSeq(value) ? value.items.map((item) => context.resolved(asNode(item))) : [value];
      for (const source of merging) {
        if (isMap(source)) sources.push(source);
        else context.report("error", keyPlace, "<< takes a mapping or a list of mappings");
      }
    } else if (!isScalar(keyNode) || typeof keyNode.value !== "string") {
      context.report("error", keyPlace, "a key must be a text; put it in quotes");
    } else if (entries.has(keyNode.value)) {
      context.report("error", keyPlace, `the key ${JSON.stringify(keyNode.value)} occurs twice`);
    } else {
      const key = keyNode.value;
      entries.set(key, { key, keyPlace, value: { node: value, path: joinPath(path, key), near: keyNode } });
    }
  }
  for (const source of sources) {
    for (const entry of context.ownEntries(source, path)) {
      if (!entries.has(entry.key)) entries.set(entry.key, entry);
    }
  }
  return [...entries.values()];
}

function moved({ key, keyPlace, value }: YamlEntry, path: string): YamlEntry {
  return { key, keyPlace: { ...keyPlace, path }, value: { ...value, path: joinPath(path, key) } };
}

function startOf({ node, near }: YamlPlace): number {
  return (node ?? near)?.range?.[0] ?? 0;
}

function isMergeKey(node: Node | null): boolean {
  return isScalar(node) && (node.value === "<<" || typeof node.value === "symbol") && node.type === "PLAIN";
}

function asNode(value: unknown): Node | null {
  return isNode(value) ? value : null;
}

function joinPath(path: string, key: string): string {
  const step = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  return path === "" ? step : `${path}.${step}`;
}
