import { parseDuration } from "./duration.ts";
import type { ApprovalTerms, RateKey, RateWindow } from "./model.ts";
import { type OutputPattern, parsePattern } from "./output-pattern.ts";
import { listOf, object, type Read, text, wholeNumber, word } from "./read-yaml.ts";
import { parseWhen } from "./when.ts";
import type { When } from "./when-condition.ts";

/** An expression. A problem is reported where it stands in the document. */
export const readWhen: Read<When> = (yaml, place) => {
  const expression = text(yaml, place);
  if (expression === undefined) return undefined;
  const result = parseWhen(expression);
  if (result.kind === "when") return result.when;
  yaml.reportInside("error", place, expression, result.offset, result.message);
  return undefined;
};

const readDuration: Read<number> = (yaml, place) => {
  const duration = text(yaml, place);
  if (duration === undefined) return undefined;
  const ms = parseDuration(duration);
  if (ms === undefined) {
    yaml.report("error", place, `expected a duration like 250ms, 30s, 10m or 24h, found ${JSON.stringify(duration)}`);
  }
  return ms;
};

const maxLimit = 100_000;
const maxWindowMs = 31 * 24 * 3_600_000;
const rateKeys: Record<RateKey, RateKey> = { principal: "principal", tenant: "tenant", topic: "topic" };
const rateShape = object({ limit: wholeNumber(32), window: readDuration, per: word(rateKeys) });

export const readRate: Read<RateWindow> = (yaml, place) => {
  const read = rateShape(yaml, place);
  if (read === undefined) return undefined;
  const { limit, window: windowMs, per } = read.members;
  for (const key of ["limit", "window", "per"]) {
    if (!read.places.has(key)) yaml.report("error", place, `a rate needs ${key}`);
  }
  if (limit === undefined || windowMs === undefined || per === undefined) return undefined;
  if (limit > maxLimit) yaml.report("error", read.places.get("limit") ?? place, `the limit is ${maxLimit} at most`);
  if (windowMs < 1_000 || windowMs > maxWindowMs) {
    yaml.report("error", read.places.get("window") ?? place, "the window is 1s to 744h");
  }
  return { limit: Number(limit), windowMs, per };
};

const maxCount = 100n;
const approvalsShape = object({ count: wholeNumber(32), roles: listOf(text), expires: readDuration });

export const readApprovals: Read<ApprovalTerms> = (yaml, place) => {
  const read = approvalsShape(yaml, place);
  if (read === undefined) return undefined;
  const { count = 1n, roles = [], expires = 0 } = read.members;
  if (count < 1n || count > maxCount) {
    yaml.report("error", read.places.get("count") ?? place, `the count is 1 to ${maxCount}, found ${count}`);
  }
  if (roles.some((role) => role.trim() === "")) {
    yaml.report("error", read.places.get("roles") ?? place, "a role is blank");
  }
  if (read.places.has("expires") && expires === 0) {
    yaml.report("error", read.places.get("expires") ?? place, "an approval that expires at once cannot be given");
  }
  return { count: Number(count), roles: roles.map((role) => role.trim()), expiresAfterMs: expires };
};

/** Names of detectors. One that nobody knows would never find anything: refused. */
export function readDetectors(known: readonly string[]): Read<readonly string[]> {
  return listOf<string>((yaml, place) => {
    const name = text(yaml, place)?.trim().toLowerCase();
    if (name === undefined) return undefined;
    if (!known.includes(name)) {
      yaml.report("error", place, `unknown detector ${JSON.stringify(name)}; known are ${known.join(", ")}`);
    }
    return name;
  });
}

export const readPatterns = listOf<OutputPattern>((yaml, place) => {
  const pattern = text(yaml, place);
  if (pattern === undefined) return undefined;
  const result = parsePattern(pattern);
  if (result.kind === "pattern") return result.pattern;
  yaml.report("error", place, `bad pattern ${JSON.stringify(pattern)}: ${result.message}`);
  return undefined;
});
