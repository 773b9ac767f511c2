import { type ReadYaml, readLibraryYaml } from "./library-yaml.ts";
import { readPlainYaml } from "./plain-yaml.ts";
import type { PolicyProblem } from "./problem.ts";
import type { Steps } from "./steps.ts";
import { joinPath, type YamlList, type YamlNode, type YamlScalar } from "./yaml-node.ts";

/** A place in a YAML document: what stands there, and how it is reached. */
export interface YamlPlace {
  readonly node: YamlNode | null;
  readonly parent?: YamlPlace | undefined;
  /** Key or index within the parent. */
  readonly step?: string | number | undefined;
  /** Where to point when nothing stands at the place itself; characters from the start. */
  readonly near?: number | undefined;
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
  /** Records a problem with one character of a text. Points at the text itself where the two cannot be aligned. */
  reportInside(
    severity: PolicyProblem["severity"],
    place: YamlPlace,
    value: string,
    offset: number,
    message: string,
  ): void;
  /** The members of a mapping in order, merged ones (`<<`) last; undefined when the place holds no mapping. */
  entries(place: YamlPlace): readonly YamlEntry[] | undefined;
  /** The items of a sequence; undefined when the place holds none. Those of a long one are made while going through. */
  items(place: YamlPlace): Iterable<YamlPlace> | undefined;
  /** The single value at a place. Undefined for mappings, lists and nothing. */
  scalar(place: YamlPlace): YamlScalar | undefined;
  /** The text of a member of the mapping at a place, if it is one. */
  textAt(place: YamlPlace, key: string): string | undefined;
  /** Line of the place, from 1. */
  lineOf(place: YamlPlace): number;
}

/**
 * Parses the first document of a YAML (or JSON) stream, in short steps. Syntax errors and duplicate keys are among the
 * problems. What most policies consist of is read by `readPlainYaml`, the rest by the library, with equal results.
 * Items of long lists are read late, and may then throw `NotPlain`: `parseAnyYaml` reads the whole text again.
 */
export function* parseYaml(text: string, source: string): Steps<YamlDocument> {
  const root = yield* readPlainYaml(text);
  return root === undefined ? yield* parseAnyYaml(text, source) : createDocument(text, source, { root, problems: [] });
}

/** As `parseYaml`, but by the library alone. */
export function* parseAnyYaml(text: string, source: string): Steps<YamlDocument> {
  return createDocument(text, source, yield* readLibraryYaml(text));
}

function createDocument(text: string, source: string, { root, problems: found }: ReadYaml): YamlDocument {
  const problems: PolicyProblem[] = [];
  const lines = lineIndex(text);
  const report = (severity: PolicyProblem["severity"], start: number, path: string, message: string) => {
    problems.push({ severity, source, ...lines.positionOf(start), path, message });
  };
  for (const { severity, start, path, message } of found) report(severity, start, path, message);
  return {
    root: { node: root },
    problems,
    report: (severity, place, message) => report(severity, startOf(place), pathOf(place), message),
    reportInside(severity, place, value, offset, message) {
      const start = startOf(place);
      const inside = text.slice(start, start + value.length + 1).indexOf(value); // behind the quote, when there is one
      report(severity, inside < 0 ? start : start + inside + offset, pathOf(place), message);
    },
    entries: entriesOf,
    items: itemsOf,
    scalar: ({ node }) => (node?.kind === "scalar" ? node : undefined),
    textAt: textAt,
    lineOf: (place) => lines.positionOf(startOf(place)).line,
  };
}

function entriesOf(place: YamlPlace): YamlEntry[] | undefined {
  const { node } = place;
  if (node?.kind !== "map") return undefined;
  return node.pairs.map(({ key, keyStart, value }) => ({
    key,
    keyPlace: { node: null, near: keyStart, parent: place },
    value: { node: value, near: keyStart, parent: place, step: key },
  }));
}

function itemsOf(place: YamlPlace): Iterable<YamlPlace> | undefined {
  const { node } = place;
  return node?.kind === "list" ? placesOf(place, node) : undefined;
}

function* placesOf(parent: YamlPlace, { items, start }: YamlList): Iterable<YamlPlace> {
  let step = 0;
  for (const node of items) yield { node, near: start, parent, step: step++ };
}

function textAt({ node }: YamlPlace, key: string): string | undefined {
  if (node?.kind !== "map") return undefined;
  for (const pair of node.pairs) {
    if (pair.key !== key) continue;
    const { value } = pair;
    return value?.kind === "scalar" && typeof value.value === "string" ? value.value : undefined;
  }
  return undefined;
}

function startOf({ node, near }: YamlPlace): number {
  return node?.start ?? near ?? 0;
}

/** `rules[3].match.topics[0]`; of a key: the path of its mapping. */
function pathOf({ parent, step }: YamlPlace): string {
  if (parent === undefined) return "";
  const path = pathOf(parent);
  if (step === undefined) return path;
  return typeof step === "number" ? `${path}[${step}]` : joinPath(path, step);
}

/** Finds lines and columns, from 1. The lines are counted when the first position is asked for. */
function lineIndex(text: string) {
  let starts: number[] | undefined;
  const findStarts = () => {
    const found = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) found.push(at + 1);
    return found;
  };
  return {
    positionOf(offset: number): { line: number; column: number } {
      starts ??= findStarts();
      let [low, high] = [0, starts.length];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if ((starts[middle] ?? 0) <= offset) low = middle;
        else high = middle;
      }
      return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
    },
  };
}
