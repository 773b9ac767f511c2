import { findCards } from "./cards.ts";
import { byPattern, type Find, type Finding } from "./finding.ts";
import { findIbans } from "./ibans.ts";

/** Around each `@`, so that a long word costs nothing. */
const findEmails: Find = (text) => {
  const findings: Finding[] = [];
  const domain = /(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.){1,8}[a-z]{2,63}(?![a-z0-9-])/iy;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    let start = at;
    while (start > 0 && at - start < 64 && /[\w.%+'-]/.test(text[start - 1] ?? "")) start--;
    while (start < at && /[.'-]/.test(text[start] ?? "")) start++;
    domain.lastIndex = at + 1;
    if (start < at && domain.test(text)) findings.push({ start, end: domain.lastIndex, kind: "email" });
  }
  return findings;
};

function hasDigits(found: string, least: number, most: number): boolean {
  const count = found.replace(/\D/g, "").length;
  return count >= least && count <= most;
}

/** Not in the middle of a number or of an identifier. */
const before = "(?<![\\w.+-])";
const after = "(?![\\w-]|\\.\\d)";
const phone = (pattern: string, least: number, most: number) =>
  byPattern("phone", new RegExp(before + pattern + after, "g"), (found) => hasDigits(found, least, most));

/** Every kind of personal data, with those that find it. */
export const piiDetectors: Readonly<Record<string, readonly Find[]>> = {
  email: [findEmails],
  phone: [
    phone("(?:\\+|00)[1-9](?:[ ().-]{0,2}\\d){7,14}", 8, 17),
    phone("(?:1[ .-])?(?:\\([2-9]\\d\\d\\) ?|[2-9]\\d\\d[ .-])[2-9]\\d\\d[ .-]\\d{4}", 10, 11), // North America
    phone("0[1-9](?:[ .-]\\d\\d){4}", 10, 10), // France
    phone("\\(?0[1-9]\\d{1,4}\\)?(?: \\d{3,4}){2}", 9, 12), // Great Britain
    phone("\\(?0[1-9]\\d{1,4}\\)?(?: ?/ ?| )\\d{5,8}", 8, 12), // Germany
  ],
  iban: [findIbans],
  credit_card: [findCards],
  us_ssn: [
    byPattern("us_ssn", /(?<![\w.-])(?!000|666|9\d\d)\d{3}(?:-(?!00)\d\d-| (?!00)\d\d )(?!0000)\d{4}(?![\w-]|\.\d)/g),
  ],
};

/** Has too many innocent uses to be looked for unless it is asked for. */
export const findIpv4: Find = byPattern(
  "ipv4",
  /(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)/g,
);
