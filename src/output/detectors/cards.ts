import type { Find, Finding } from "./finding.ts";

/** First digits and length of the large networks. */
const brand =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17})$/;
const longest = 19;
const shortest = 13;
/** The first group has four digits or more. */
const firstDigits = /(?<![A-Za-z0-9_.])\d{4}/g;

/** Numbers of payment cards, with spaces or dashes or without: known first digits, right length and Luhn's check digit. */
export const findCards: Find = (text) => {
  const findings: Finding[] = [];
  let covered = 0;
  for (const { index } of text.matchAll(firstDigits)) {
    if (index < covered) continue;
    const end = endOfCard(text, index);
    if (end === undefined) continue;
    findings.push({ start: index, end, kind: "credit_card" });
    covered = end;
  }
  return findings;
};

/** Where the longest card number that begins here ends. Looks at no more than 38 characters. */
function endOfCard(text: string, start: number): number | undefined {
  let digits = "";
  let end: number | undefined;
  for (let at = start; digits.length < longest; at++) {
    const character = text[at] ?? "";
    if (isDigit(character)) digits += character;
    else if ((character === " " || character === "-") && isDigit(text[at + 1] ?? "")) continue;
    else break;
    const isWhole = digits.length >= shortest && !/[A-Za-z0-9_]/.test(text[at + 1] ?? "");
    if (isWhole && brand.test(digits) && passesLuhn(digits)) end = at + 1;
  }
  return end;
}

/** @param digits - nothing but digits */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = digits.charCodeAt(digits.length - 1 - at) - 48;
    const weighted = at % 2 === 1 ? digit * 2 : digit;
    sum += weighted > 9 ? weighted - 9 : weighted;
  }
  return sum % 10 === 0;
}

function isDigit(character: string): boolean {
  return character >= "0" && character <= "9";
}
