import type { Find, Finding } from "./finding.ts";

/** Characters of an IBAN by country, as the SWIFT registry has them. */
const lengthsText =
  "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 " +
  "FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 " +
  "LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 " +
  "ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";
const lengths = new Map(lengthsText.split(" ").map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]));
const head = /(?<![A-Za-z0-9])[A-Za-z]{2}\d\d(?=[ -]?[A-Za-z0-9])/g;

/** International bank account numbers, in groups or not: known country, its length, right check digits. */
export const findIbans: Find = (text) => {
  const findings: Finding[] = [];
  for (const { index } of text.matchAll(head)) {
    const length = lengths.get(text.slice(index, index + 2).toUpperCase());
    const end = length === undefined ? undefined : endOfIban(text, index, length);
    if (end !== undefined) findings.push({ start: index, end, kind: "iban" });
  }
  return findings;
};

function endOfIban(text: string, start: number, length: number): number | undefined {
  let compact = "";
  let at = start;
  for (; compact.length < length; at++) {
    const character = text[at] ?? "";
    if (isAlphanumeric(character)) compact += character.toUpperCase();
    else if ((character === " " || character === "-") && isAlphanumeric(text[at + 1] ?? "")) continue;
    else return undefined;
  }
  return !isAlphanumeric(text[at] ?? "") && passesMod97(compact) ? at : undefined;
}

/** ISO 7064 over the digits, letters counted from A = 10, with the first four characters put last. */
function passesMod97(iban: string): boolean {
  let rest = 0;
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

function isAlphanumeric(character: string): boolean {
  return /^[A-Za-z0-9]$/.test(character);
}
