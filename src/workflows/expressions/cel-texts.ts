import { RE2JS } from "@bufbuild/re2";
import type { CelFunction, FunctionTable } from "./cel-function.ts";
import { libraryCall } from "./cel-library.ts";
import { describe, type Kind, type Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import { ExpressionError } from "./model.ts";

/** Methods of texts, and `join` of lists of them. */
export const texts: FunctionTable = {
  contains: search("contains", (text, part) => text.includes(part)),
  startsWith: search("startsWith", (text, part) => text.startsWith(part)),
  endsWith: search("endsWith", (text, part) => text.endsWith(part)),
  charAt: method("charAt", [2, 2], "string", charAt),
  substring: method("substring", [2, 3], "string", substring),
  indexOf: method("indexOf", [2, 3], "number", indexOf),
  lastIndexOf: method("lastIndexOf", [2, 3], "number", lastIndexOf),
  split: method("split", [2, 2], "list", split),
  lowerAscii: fromLibrary("lowerAscii"),
  upperAscii: fromLibrary("upperAscii"),
  trim: fromLibrary("trim"),
  replace: { style: "method", arity: [3, 3], result: "string", run: replace },
  join: { style: "method", arity: [1, 2], result: "string", run: join },
};

function search(name: string, holds: (text: string, part: string) => boolean): CelFunction {
  return {
    style: "method",
    arity: [2, 2],
    result: "bool",
    run([text = null, part = null], meter) {
      const subject = textOf(name, text, meter);
      return holds(subject, textOf(name, part, meter));
    },
  };
}

function fromLibrary(name: string): CelFunction {
  return method(name, [1, 1], "string", (text) => libraryCall(`a0.${name}()`)(text));
}

/** A method that goes through its text character by character. */
function method(
  name: string,
  arity: CelFunction["arity"],
  result: Kind,
  run: (text: string, args: readonly Value[]) => Value,
): CelFunction {
  return {
    style: "method",
    arity,
    result,
    run([text = null, ...args], meter) {
      const subject = textOf(name, text, meter);
      meter.spend(2 * subject.length);
      return run(subject, args);
    },
  };
}

function charAt(text: string, [index = 0]: readonly Value[]): string {
  const characters = [...text];
  return characters[position("charAt", index, 0, characters.length)] ?? "";
}

function substring(text: string, [from = 0, to]: readonly Value[]): string {
  const characters = [...text];
  const start = position("substring", from, 0, characters.length);
  const end = position("substring", to ?? characters.length, start, characters.length);
  return characters.slice(start, end).join("");
}

function indexOf(text: string, [part = null, from = 0]: readonly Value[]): number {
  const characters = [...text];
  const start = position("indexOf", from, 0, characters.length);
  return characterAt(text, text.indexOf(plain("indexOf", part), unitsOf(characters, start)));
}

/** @param from - where the part may begin at the latest */
function lastIndexOf(text: string, [part = null, from]: readonly Value[]): number {
  const characters = [...text];
  const latest = position("lastIndexOf", from ?? characters.length, 0, characters.length);
  return characterAt(text, text.lastIndexOf(plain("lastIndexOf", part), unitsOf(characters, latest)));
}

function split(text: string, [separator = null]: readonly Value[]): string[] {
  const between = plain("split", separator);
  return between === "" ? [...text] : text.split(between);
}

function unitsOf(characters: readonly string[], count: number): number {
  return characters.slice(0, count).join("").length;
}

/** Characters before a place counted in UTF-16 units; -1 stays. */
function characterAt(text: string, unit: number): number {
  return unit < 0 ? unit : [...text.slice(0, unit)].length;
}

function position(name: string, value: Value, least: number, most: number): number {
  if (!Number.isInteger(value))
    throw new ExpressionError(
      `${name} takes a whole number, not ${typeof value === "number" ? value : describe(value)}`,
    );
  const index = value as number;
  if (index >= least && index <= most) return index;
  throw new ExpressionError(`${name}: ${index} is not between ${least} and ${most}`);
}

function plain(name: string, value: Value): string {
  if (typeof value === "string") return value;
  throw new ExpressionError(`${name} takes texts, not ${describe(value)}`);
}

/** All occurrences. Its length is known, and paid, before it is made. */
function replace([text = null, part = null, by = null]: readonly Value[], meter: Meter): string {
  const subject = textOf("replace", text, meter);
  const replacement = textOf("replace", by, meter);
  const replaced = textOf("replace", part, meter);
  if (replaced === "") throw new ExpressionError("replace takes a part that is not empty");
  const pieces = subject.split(replaced);
  meter.spend(pieces.length);
  meter.spendText(subject.length + pieces.length * replacement.length);
  return pieces.join(replacement);
}

function join([list = null, separator = ""]: readonly Value[], meter: Meter): string {
  if (!Array.isArray(list)) throw new ExpressionError(`join takes a list of texts, not ${describe(list)}`);
  const between = textOf("join", separator, meter);
  meter.spend(list.length);
  meter.spendText(list.length * between.length);
  return list.map((element) => textOf("join", element, meter)).join(between);
}

function textOf(name: string, value: Value, meter: Meter): string {
  if (typeof value !== "string") throw new ExpressionError(`${name} takes texts, not ${describe(value)}`);
  meter.spendText(value.length);
  return value;
}

/**
 * `matches` for one pattern, in RE2 syntax: whatever it is, looking takes time linear in the text.
 * @returns what is wrong with the pattern, as a text, when it is none
 */
export function createMatcher(pattern: string): ((text: Value, meter: Meter) => boolean) | string {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return (text, meter) => {
    const subject = textOf("matches", text, meter);
    meter.spend(subject.length);
    return compiled.test(subject);
  };
}
