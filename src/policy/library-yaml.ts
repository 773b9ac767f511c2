import {
  type Alias,
  Composer,
  type CST,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  Parser,
  Scalar,
  visit,
} from "yaml";
import type { Steps } from "./steps.ts";

import { joinPath, type YamlList, type YamlMap, type YamlNode, type YamlPair } from "./yaml-node.ts";

export interface YamlProblem {
  readonly severity: "error" | "warning";
  /** Characters from the start of the text. */
  readonly start: number;
  readonly path: string;
  readonly message: string;
}

export interface ReadYaml {
  readonly root: YamlNode | null;
  readonly problems: readonly YamlProblem[];
}

/** Reads any YAML with the library, aliases and merges resolved. */
export function* readLibraryYaml(text: string): Steps<ReadYaml> {
  const tokens = yield* tokenize(text);
  const composer = new Composer({
    schema: "core",
    merge: true,
    intAsBigInt: true,
    prettyErrors: false,
    uniqueKeys: false, // checked below: the library's check is quadratic
    logLevel: "error",
  });
  const problems: YamlProblem[] = [];
  const [parsed, next] = [...composer.compose(tokens, true, text.length)];
  for (const { pos, message, code } of parsed?.errors ?? []) {
    if (code === "RESOURCE_EXHAUSTION") {
      problems.push({ severity: "error", start: pos[0], path: "", message: "the document is nested too deeply" });
      break; // the parser gave up here: whatever follows is its echo
    }
    problems.push({ severity: "error", start: pos[0], path: "", message: `not valid YAML: ${message}` });
  }
  if (next !== undefined) {
    const message = "only the first document of the file is read";
    problems.push({ severity: "warning", start: next.range[0], path: "", message });
  }
  yield;
  const reader = new TreeReader(parsed?.contents ?? null, problems);
  return { root: reader.read(parsed?.contents ?? null, ""), problems };
}

const lexemesPerStep = 1_000;

function* tokenize(text: string): Steps<CST.Token[]> {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    lexemes += 1;
    if (lexemes % lexemesPerStep === 0) yield;
    tokens.push(...parser.next(lexeme));
  }
  tokens.push(...parser.end());
  return tokens;
}

/** Turns the library's nodes into ours. */
class TreeReader {
  readonly #problems: YamlProblem[];
  readonly #aliases: Map<Alias, Node>;
  readonly #nodes = new Map<Node, YamlNode>();

  constructor(contents: Node | null, problems: YamlProblem[]) {
    this.#problems = problems;
    this.#aliases = this.#resolveAliases(contents);
  }

  read(node: Node | null, path: string): YamlNode | null {
    const resolved = this.#resolve(node);
    if (resolved === null) return null;
    const known = this.#nodes.get(resolved);
    if (known !== undefined) return known;
    const start = resolved.range?.[0] ?? 0;
    if (isScalar(resolved)) {
      return this.#keep(resolved, {
        kind: "scalar",
        value: resolved.value,
        isPlain: resolved.type === Scalar.PLAIN,
        start,
      });
    }
    if (isSeq(resolved)) {
      const items: (YamlNode | null)[] = [];
      const list = this.#keep<YamlList>(resolved, { kind: "list", items, start });
      for (const [index, item] of resolved.items.entries()) items.push(this.read(asNode(item), `${path}[${index}]`));
      return list;
    }
    if (!isMap(resolved)) return null;
    const map = this.#keep<YamlMap>(resolved, { kind: "map", pairs: [], start }); // a mapping that merges itself stops here
    this.#fill(map, resolved.items as Pair[], path);
    return map;
  }

  #keep<T extends YamlNode>(node: Node, ours: T): T {
    this.#nodes.set(node, ours);
    return ours;
  }

  #resolve(node: Node | null): Node | null {
    return isAlias(node) ? (this.#aliases.get(node) ?? null) : node;
  }

  #fill(map: YamlMap, items: readonly Pair[], path: string): void {
    const pairs = new Map<string, YamlPair>();
    const merged: YamlMap[] = [];
    for (const pair of items) {
      const key = this.#resolve(asNode(pair.key));
      const keyStart = key?.range?.[0] ?? map.start;
      if (isMergeKey(key)) {
        merged.push(...this.#mergedFrom(this.#resolve(asNode(pair.value)), keyStart, path));
      } else if (!isScalar(key) || typeof key.value !== "string") {
        this.#report(keyStart, path, "a key must be a text; put it in quotes");
      } else if (pairs.has(key.value)) {
        this.#report(keyStart, path, `the key ${JSON.stringify(key.value)} occurs twice`);
      } else {
        const value = this.read(asNode(pair.value), joinPath(path, key.value));
        pairs.set(key.value, { key: key.value, keyStart, value });
      }
    }
    for (const source of merged) {
      for (const pair of source.pairs) if (!pairs.has(pair.key)) pairs.set(pair.key, pair);
    }
    map.pairs.push(...pairs.values());
  }

  #mergedFrom(value: Node | null, keyStart: number, path: string): YamlMap[] {
    const sources = isSeq(value) ? value.items.map((item) => this.#resolve(asNode(item))) : [value];
    return sources.flatMap((source) => {
      const map = isMap(source) ? this.read(source, path) : null;
      if (map?.kind === "map") return [map];
      this.#report(keyStart, path, "<< takes a mapping or a list of mappings");
      return [];
    });
  }

  #report(start: number, path: string, message: string): void {
    this.#problems.push({ severity: "error", start, path, message });
  }

  /** What each alias stands for. An alias refers to the latest anchor of its name before it. */
  #resolveAliases(contents: Node | null): Map<Alias, Node> {
    const anchors = new Map<string, Node>();
    const aliases = new Map<Alias, Node>();
    if (contents === null) return aliases;
    visit(contents, {
      Node: (_key, node) => {
        if (isAlias(node)) {
          const target = anchors.get(node.source);
          if (target !== undefined) aliases.set(node, target);
          else this.#report(node.range?.[0] ?? 0, "", `no anchor &${node.source} comes before this alias`);
        } else if ((isScalar(node) || isCollection(node)) && node.anchor !== undefined) {
          anchors.set(node.anchor, node);
        }
      },
    });
    return aliases;
  }
}

function isMergeKey(node: Node | null): boolean {
  return isScalar(node) && (node.value === "<<" || typeof node.value === "symbol") && node.type === "PLAIN";
}

function asNode(value: unknown): Node | null {
  return isNode(value) ? value : null;
}
