import type { YamlDocument, YamlPlace } from "./yaml-document.ts";

/** Reads one place. Answers undefined, and records why, when what stands there cannot be accepted. */
export type Read<T> = (document: YamlDocument, place: YamlPlace) => T | undefined;

type Shape = Readonly<Record<string, Read<unknown>>>;
type Members<S extends Shape> = { readonly [K in keyof S]?: S[K] extends Read<infer T> ? T : never };

/** What an object was read from: its members by name, and where each of them stands. */
export interface ReadObject<S extends Shape> {
  readonly members: Members<S>;
  readonly places: ReadonlyMap<string, YamlPlace>;
}

/** A mapping with the given keys, all optional. Other keys are refused. */
export function object<const S extends Shape>(shape: S): Read<ReadObject<S>> {
  return (document, place) => {
    const entries = document.entries(place);
    if (entries === undefined) return refuse(document, place, "a mapping");
    const members: Record<string, unknown> = {};
    const places = new Map<string, YamlPlace>();
    for (const { key, keyPlace, value } of entries) {
      const read = Object.hasOwn(shape, key) ? shape[key] : undefined;
      if (read === undefined) {
        const known = Object.keys(shape).join(", ");
        document.report("error", keyPlace, `unknown key ${JSON.stringify(key)}; known are ${known}`);
        continue;
      }
      places.set(key, value);
      const member = read(document, value);
      if (member !== undefined) members[key] = member;
    }
    return { members: members as Members<S>, places };
  };
}

export function listOf<T>(read: Read<T>): Read<readonly T[]> {
  return (document, place) => {
    const items = document.items(place);
    if (items === undefined) return refuse(document, place, "a list");
    const values: T[] = [];
    for (const item of items) {
      const value = read(document, item);
      if (value !== undefined) values.push(value);
    }
    return values;
  };
}

export function mapOf<T>(read: Read<T>): Read<ReadonlyMap<string, T>> {
  return (document, place) => {
    const entries = document.entries(place);
    if (entries === undefined) return refuse(document, place, "a mapping");
    const values = new Map<string, T>();
    for (const { key, value } of entries) {
      const item = read(document, value);
      if (item !== undefined) values.set(key, item);
    }
    return values;
  };
}

const timestamp = /^\d{4}-\d{1,2}-\d{1,2}(?:$|[Tt \t])/;

/** A text. Numbers, booleans and dates need quotes: what they would turn into depends on the YAML version. */
export const text: Read<string> = (document, place) => {
  const scalar = document.scalar(place);
  if (typeof scalar?.value !== "string") return refuse(document, place, "a text");
  if (scalar.isPlain && timestamp.test(scalar.value)) {
    document.report("error", place, `expected a text, found a date; put ${scalar.value} in quotes`);
    return undefined;
  }
  return scalar.value;
};

export const flag: Read<boolean> = (document, place) => {
  const value = document.scalar(place)?.value;
  return typeof value === "boolean" ? value : refuse(document, place, "true or false");
};

/** A whole number from 0 to the largest signed one of that many bits; `1.0` is one too. */
export function wholeNumber(bits: 32 | 64): Read<bigint> {
  const most = (1n << BigInt(bits - 1)) - 1n;
  return (document, place) => {
    const value = document.scalar(place)?.value;
    const whole = typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
    if (typeof whole !== "bigint") return refuse(document, place, "a whole number");
    if (whole >= 0n && whole <= most) return whole;
    document.report("error", place, `expected a whole number from 0 to ${most}, found ${whole}`);
    return undefined;
  };
}

/** One of the given words, in exactly that spelling, and what it means. */
export function word<T>(meanings: Readonly<Record<string, T>>): Read<T> {
  return (document, place) => {
    const value = document.scalar(place)?.value;
    if (typeof value === "string" && Object.hasOwn(meanings, value)) return meanings[value];
    return refuse(document, place, `one of ${Object.keys(meanings).join(", ")}`);
  };
}

/** Records that something else was expected. */
export function refuse(document: YamlDocument, place: YamlPlace, expected: string): undefined {
  document.report("error", place, `expected ${expected}, found ${describe(document, place)}`);
  return undefined;
}

const shownCharacters = 40;

function describe(document: YamlDocument, place: YamlPlace): string {
  if (document.entries(place) !== undefined) return "a mapping";
  if (document.items(place) !== undefined) return "a list";
  const value = document.scalar(place)?.value;
  if (value === null || value === undefined) return "nothing";
  if (typeof value !== "string") return `the ${typeof value === "boolean" ? "boolean" : "number"} ${String(value)}`;
  const shown = value.length > shownCharacters ? `${value.slice(0, shownCharacters)}…` : value;
  return `the text ${JSON.stringify(shown)}`;
}
