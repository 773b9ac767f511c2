import { type PathTemplate, parseTemplate } from "./template.ts";

/** What a path leads to. `rawVariables` are percent-encoded still. */
export type RouteMatch<T> =
  | { kind: "found"; route: T; template: string; rawVariables: RawVariable[] }
  | { kind: "wrong-method"; template: string; allowed: string[] }
  | { kind: "not-found" };

export interface RawVariable {
  field: string[];
  /** Several segments when the variable spans them. */
  segments: string[];
}

export interface RouteTable<T> {
  /** @throws Error when the template is malformed or the route exists already */
  add(verb: string, template: string, route: T): void;
  /** `path` begins with a slash and has no query. HEAD finds the routes of GET. */
  match(verb: string, path: string): RouteMatch<T>;
}

interface Leaf<T> {
  template: PathTemplate;
  byVerb: Map<string, { route: T; template: PathTemplate }>;
}

interface Node<T> {
  literals: Map<string, Node<T>>;
  /** Longest suffix first, so that `{id}:stop` is tried before `{id}`. */
  segments: { suffix: string; node: Node<T> }[];
  rests: { suffix: string; leaf: Leaf<T> }[];
  leaf: Leaf<T> | undefined;
}

/** A tree of path segments. Fixed text wins over a variable, a variable over `**`. */
export function createRouteTable<T>(): RouteTable<T> {
  const root = emptyNode<T>();
  return {
    add(verb, source, route) {
      const template = parseTemplate(source);
      const { byVerb } = leafFor(root, template);
      if (byVerb.has(verb)) throw new Error(`two routes for ${verb} ${source}`);
      byVerb.set(verb, { route, template });
    },
    match(verb, path) {
      const segments = path.slice(1).split("/");
      const leaves: Leaf<T>[] = [];
      collect(root, segments, 0, leaves);
      if (leaves.length === 0) return { kind: "not-found" };
      const wanted = verb === "HEAD" ? "GET" : verb;
      for (const { byVerb } of leaves) {
        const hit = byVerb.get(wanted);
        if (hit) {
          const { source } = hit.template;
          return {
            kind: "found",
            route: hit.route,
            template: source,
            rawVariables: variablesOf(hit.template, segments),
          };
        }
      }
      const allowed = new Set(leaves.flatMap(({ byVerb }) => [...byVerb.keys()]));
      if (allowed.has("GET")) allowed.add("HEAD");
      return { kind: "wrong-method", template: leaves[0]?.template.source ?? "", allowed: [...allowed, "OPTIONS"] };
    },
  };
}

function emptyNode<T>(): Node<T> {
  return { literals: new Map(), segments: [], rests: [], leaf: undefined };
}

function leafFor<T>(root: Node<T>, template: PathTemplate): Leaf<T> {
  let node = root;
  for (const part of template.parts) {
    if (part.kind === "rest") return entryFor(node.rests, part.suffix, () => ({ leaf: emptyLeaf<T>(template) })).leaf;
    if (part.kind === "segment") {
      node = entryFor(node.segments, part.suffix, () => ({ node: emptyNode<T>() })).node;
      continue;
    }
    let next = node.literals.get(part.text);
    if (!next) {
      next = emptyNode<T>();
      node.literals.set(part.text, next);
    }
    node = next;
  }
  node.leaf ??= emptyLeaf(template);
  return node.leaf;
}

function emptyLeaf<T>(template: PathTemplate): Leaf<T> {
  return { template, byVerb: new Map() };
}

function entryFor<E extends { suffix: string }>(list: E[], suffix: string, make: () => Omit<E, "suffix">): E {
  const found = list.find((entry) => entry.suffix === suffix);
  if (found) return found;
  const entry = { ...make(), suffix } as E;
  list.push(entry);
  list.sort((a, b) => b.suffix.length - a.suffix.length);
  return entry;
}

/** Gathers every leaf that the path reaches, the most specific first. */
function collect<T>(node: Node<T>, segments: readonly string[], index: number, leaves: Leaf<T>[]): void {
  const segment = segments[index];
  if (segment === undefined) {
    if (node.leaf) leaves.push(node.leaf);
    return;
  }
  const literal = node.literals.get(segment);
  if (literal) collect(literal, segments, index + 1, leaves);
  for (const { suffix, node: next } of node.segments) {
    if (fits(segment, suffix)) collect(next, segments, index + 1, leaves);
  }
  const last = segments[segments.length - 1] ?? "";
  for (const { suffix, leaf } of node.rests) {
    if (fits(last, suffix)) leaves.push(leaf);
  }
}

/** A variable is never empty. */
function fits(segment: string, suffix: string): boolean {
  return segment.length > suffix.length && segment.endsWith(suffix);
}

function variablesOf({ parts, variables }: PathTemplate, segments: readonly string[]): RawVariable[] {
  return variables.map(({ field, from, to }) => {
    const last = parts[to - 1];
    const end = last?.kind === "rest" ? segments.length : to;
    const covered = segments.slice(from, end);
    const suffix = last === undefined || last.kind === "literal" ? "" : last.suffix;
    if (suffix) covered.push((covered.pop() ?? "").slice(0, -suffix.length));
    return { field, segments: covered };
  });
}
