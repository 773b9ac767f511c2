import type { Json } from "./model.ts";
import { compareText } from "./text-order.ts";

export type Comparison = "==" | "!=" | ">=" | "<=" | ">" | "<";

/** The old rules: a number on the left makes a number of the right, two texts compare as such, the rest by how it prints. */
export function compareLegacy(operator: Comparison, left: Json, right: Json): boolean {
  if (typeof left === "number") return holds(operator, left, toNumber(right));
  if (typeof left === "string" && typeof right === "string") return holds(operator, compareText(left, right), 0);
  if (operator === "==") return printLegacy(left) === printLegacy(right);
  if (operator === "!=") return printLegacy(left) !== printLegacy(right);
  return false;
}

function holds(operator: Comparison, left: number, right: number): boolean {
  switch (operator) {
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case ">=":
      return left >= right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    case "<":
      return left < right;
  }
}

function toNumber(value: Json): number {
  if (typeof value === "number") return value;
  return typeof value === "string" ? (parseLegacyNumber(value) ?? 0) : 0;
}

const decimal = /^[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?$/;
const hexadecimal =
  /^([+-]?)0[xX]_?([\da-fA-F](?:_?[\da-fA-F])*)?(?:\.([\da-fA-F](?:_?[\da-fA-F])*)?)?[pP]([+-]?\d(?:_?\d)*)$/;
const infinite = /^([+-]?)inf(?:inity)?$/i;

/** @returns undefined when the text is no number, or one out of range */
export function parseLegacyNumber(text: string): number | undefined {
  if (decimal.test(text)) return finite(Number(text.replaceAll("_", "")));
  const hex = hexadecimal.exec(text);
  if (hex !== null) return parseHexadecimal(hex);
  const infinity = infinite.exec(text);
  if (infinity !== null) return infinity[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return text.toLowerCase() === "nan" ? Number.NaN : undefined;
}

function parseHexadecimal([, sign, whole = "", fraction = "", exponent = ""]: RegExpExecArray): number | undefined {
  const digits = (whole + fraction).replaceAll("_", "");
  if (digits === "") return undefined;
  const mantissa = Number(BigInt(`0x${digits}`));
  const scale = Number(exponent.replaceAll("_", "")) - 4 * fraction.replaceAll("_", "").length;
  return finite((sign === "-" ? -1 : 1) * (mantissa === 0 ? 0 : mantissa * 2 ** scale));
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

/** How the old language prints values, also inside lists and objects. */
export function printLegacy(value: Json): string {
  if (value === null) return "<nil>";
  if (typeof value === "number") return printNumber(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[${value.map(printLegacy).join(" ")}]`;
  const keys = Object.keys(value).sort(compareText);
  return `map[${keys.map((key) => `${key}:${printLegacy(value[key] ?? null)}`).join(" ")}]`;
}

function printNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return String(value);
  const [mantissa, exponent = ""] = value.toExponential().split("e");
  return `${mantissa}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, "0")}`;
}
