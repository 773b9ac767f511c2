import type { Ajv, Format } from "ajv";
import addFormats from "ajv-formats";

/** Those of the standard that can be checked. Others are not asserted, as the standard allows. */
const names = [
  "date",
  "date-time",
  "duration",
  "email",
  "hostname",
  "ipv4",
  "ipv6",
  "json-pointer",
  "regex",
  "relative-json-pointer",
  "time",
  "uri",
  "uri-reference",
  "uri-template",
  "uuid",
] as const;

/** Some of the checks take time quadratic in the text; nothing of these formats is longer. */
const maxLength = 4_096;

export function useFormats(ajv: Ajv): void {
  for (const name of names) {
    const isFormat = toCheck(addFormats.default.get(name, "full"));
    ajv.addFormat(name, { type: "string", validate: (text: string) => text.length <= maxLength && isFormat(text) });
  }
}

function toCheck(format: Format): (text: string) => boolean {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === "function") return format;
  if (typeof format === "object" && !format.async && typeof format.validate === "function") {
    return format.validate as (text: string) => boolean;
  }
  throw new Error("a format of this kind is not known");
}
