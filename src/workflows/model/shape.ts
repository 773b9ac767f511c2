import type { Json } from "../expressions/index.ts";
import { didYouMean } from "./nearest.ts";
import type { Path, ProblemList } from "./problem.ts";

/** What may stand at a place of a document. Null and, where a text may be left out, a blank one mean absent. */
export type Shape =
  | { kind: "text"; pattern?: RegExp; expected?: string }
  | { kind: "flag" }
  | { kind: "number"; whole?: boolean; min?: number; max?: number; zeroIsAbsent?: boolean }
  /** Compared without regard to case when `folded`. */
  | { kind: "word"; words: readonly string[]; folded?: boolean }
  /** Any value. */
  | { kind: "json" }
  /** Any object. */
  | { kind: "object" }
  | { kind: "list"; of: Shape }
  /** Keys are the author's. `broken` takes the place of what does not fit, so that the key is known all the same. */
  | { kind: "map"; of: () => Shape; keys?: { pattern: RegExp; expected: string }; max?: number; broken?: Json }
  | FieldsShape
  | { kind: "either"; shapes: readonly Shape[]; expected: string };

/** An object with the given fields and no others. */
export interface FieldsShape {
  kind: "fields";
  fields: { readonly [name: string]: Shape };
  required?: readonly string[];
  /** Accepted and left out: what the server sets. */
  ignored?: readonly string[];
}

/** What stands there, in canonical spelling and without absent members; undefined and a problem when it does not fit. */
export function readShape(value: Json, shape: Shape, path: Path, problems: ProblemList): Json | undefined {
  switch (shape.kind) {
    case "json":
      return value;
    case "flag":
      return typeof value === "boolean" ? value : refuse(value, "true or false", path, problems);
    case "text":
      return readText(value, shape, path, problems);
    case "number":
      return readNumber(value, shape, path, problems);
    case "word":
      return readWord(value, shape, path, problems);
    case "object":
      return isObject(value) ? value : refuse(value, "a mapping", path, problems);
    case "list":
      return readList(value, shape.of, path, problems);
    case "map":
      return readMap(value, shape, path, problems);
    case "fields":
      return readFields(value, shape, path, problems);
    case "either": {
      const fitting = shape.shapes.find((option) => fits(value, option));
      if (fitting === undefined) return refuse(value, shape.expected, path, problems);
      return readShape(value, fitting, path, problems);
    }
  }
}

function fits(value: Json, shape: Shape): boolean {
  if (shape.kind === "number") return typeof value === "number";
  return shape.kind === "word" && typeof value === "string" && shape.words.includes(value);
}

type Of<Kind extends Shape["kind"]> = Extract<Shape, { kind: Kind }>;

function readText(value: Json, { expected, pattern }: Of<"text">, path: Path, problems: ProblemList): Json | undefined {
  if (typeof value !== "string") {
    const hint = typeof value === "number" || typeof value === "boolean" ? "put it in quotes" : undefined;
    return refuse(value, "a text", path, problems, hint);
  }
  if (pattern === undefined || pattern.test(value)) return value;
  problems.error("invalid_value", path, `expected ${expected}, found ${describe(value)}`);
  return undefined;
}

function readNumber(value: Json, shape: Of<"number">, path: Path, problems: ProblemList): Json | undefined {
  const { max = Number.MAX_SAFE_INTEGER, min = Number.NEGATIVE_INFINITY, whole = false, zeroIsAbsent = false } = shape;
  const expected = whole ? "a whole number" : "a number";
  if (typeof value !== "number" || (whole && !Number.isInteger(value))) {
    const hint = typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value));
    return refuse(value, expected, path, problems, hint ? "write it without quotes" : undefined);
  }
  if (value === 0 && zeroIsAbsent) return undefined;
  if (value >= min && value <= max) return value;
  const range = value < min ? `of at least ${min}` : `of at most ${max}`;
  problems.error("out_of_range", path, `expected ${expected} ${range}, found ${value}`);
  return undefined;
}

function readWord(value: Json, { folded, words }: Of<"word">, path: Path, problems: ProblemList): Json | undefined {
  const expected = `one of ${words.join(", ")}`;
  if (typeof value !== "string") return refuse(value, expected, path, problems);
  const word = folded ? value.trim().toLowerCase() : value;
  if (words.includes(word)) return word;
  const hint = () => didYouMean(value, words);
  problems.error("unknown_value", path, `expected ${expected}, found ${describe(value)}`, { hint });
  return undefined;
}

function readList(value: Json, of: Shape, path: Path, problems: ProblemList): Json | undefined {
  if (!Array.isArray(value)) {
    const hint = typeof value === "string" && of.kind === "text" ? `write [${value}]` : undefined;
    return refuse(value, "a list", path, problems, hint);
  }
  const items: Json[] = [];
  for (const [index, item] of value.entries()) {
    const read = readShape(item, of, [...path, index], problems);
    if (read !== undefined) items.push(read);
  }
  return items;
}

function readMap(
  value: Json,
  { broken, keys, max, of }: Of<"map">,
  path: Path,
  problems: ProblemList,
): Json | undefined {
  if (!isObject(value)) return refuse(value, "a mapping", path, problems);
  const entries = Object.entries(value);
  if (max !== undefined && entries.length > max) {
    problems.error("too_many", path, `${entries.length} entries; ${max} are the most`);
    return undefined;
  }
  const members: [string, Json][] = [];
  for (const [key, item] of entries) {
    const at = [...path, key];
    if (keys !== undefined && !keys.pattern.test(key)) {
      problems.error("invalid_key", at, `${describe(key)} is not ${keys.expected}`, { atKey: true });
    }
    const read = readShape(item, of(), at, problems) ?? broken;
    if (read !== undefined) members.push([key, read]);
  }
  return Object.fromEntries(members);
}

function readFields(value: Json, shape: FieldsShape, path: Path, problems: ProblemList): Json | undefined {
  if (!isObject(value)) return refuse(value, "a mapping", path, problems);
  const given = matchKeys(value, shape, path, problems);
  const members: [string, Json][] = [];
  for (const [name, of] of Object.entries(shape.fields)) {
    const item = given.get(name);
    if (item === undefined) {
      if (shape.required?.includes(name)) problems.error("missing_field", path, `${name} is missing`);
      continue;
    }
    const read = readShape(item, of, [...path, name], problems);
    if (read !== undefined) members.push([name, read]);
  }
  return Object.fromEntries(members);
}

/** The members by the names of their fields, without those that mean absent. */
function matchKeys(
  value: { [key: string]: Json },
  { fields, ignored = [] }: FieldsShape,
  path: Path,
  problems: ProblemList,
): Map<string, Json> {
  const given = new Map<string, Json>();
  for (const [key, item] of Object.entries(value)) {
    const name = Object.hasOwn(fields, key) || ignored.includes(key) ? key : key.toLowerCase();
    const at = [...path, key];
    if (ignored.includes(name)) continue;
    const of = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (of === undefined) {
      const hint = () => didYouMean(key, Object.keys(fields));
      problems.error("unknown_field", at, `there is no field "${key.slice(0, 64)}"`, { atKey: true, hint });
    } else if (given.has(name) || (name !== key && Object.hasOwn(value, name))) {
      problems.error("duplicate_key", at, `${key} means ${name}, which is there twice`, { atKey: true });
    } else {
      if (name !== key) problems.warning("key_case", at, `${key} is read as ${name}`, { atKey: true });
      if (!isAbsent(item, of)) given.set(name, item);
    }
  }
  return given;
}

function isAbsent(item: Json, of: Shape): boolean {
  if (item === null) return true;
  return (of.kind === "text" || of.kind === "word") && typeof item === "string" && item.trim() === "";
}

function refuse(value: Json, expected: string, path: Path, problems: ProblemList, hint?: string): undefined {
  problems.error("wrong_type", path, `expected ${expected}, found ${describe(value)}`, { hint });
  return undefined;
}

const shownCharacters = 40;

function describe(value: Json): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value !== "string") return `the ${typeof value} ${value}`;
  return `the text ${JSON.stringify(value.length > shownCharacters ? `${value.slice(0, shownCharacters)}…` : value)}`;
}

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
