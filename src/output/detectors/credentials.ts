import { byPattern, type Find } from "./finding.ts";

/** Words that stand where a secret would, and names of its type. */
const placeholder =
  /^(?:\$|%|\*+$|\.+$|x+$|-+$|null|none|nil|true|false|undefined|unknown|required|optional|invalid|missing|string|redacted|example$|changed?$|your[_-])/i;
const marker = /^\[redacted:\w+\](?:#\d+)?$/;

/** Bits per character, from 0 to about 6 for random text. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

function isRandom(value: string): boolean {
  return value.length >= 12 && /\d/.test(value) && /[a-z]/i.test(value) && entropyOf(value.slice(0, 256)) >= 3;
}

function isToken(value: string): boolean {
  return !placeholder.test(value) && !marker.test(value) && isRandom(value);
}

function isPassword(value: string): boolean {
  return value.length >= 6 && !placeholder.test(value) && !marker.test(value) && entropyOf(value.slice(0, 256)) >= 2;
}

const passwordNames = "password|passwd|passphrase|pwd";
const secretNames =
  "secret|token|api[_-]?key|access[_-]?key|account[_-]?key|auth[_-]?key|signing[_-]?key|private[_-]?key|credentials?";
const passwordKey = new RegExp(`(?:${passwordNames})$`, "i");
const secretKey = new RegExp(`(?:${secretNames})$`, "i");

/** Whether the value of a named member, as in `{"password": "..."}`, is a secret. */
export function isSecretMember(name: string, value: string): boolean {
  if (/\s/.test(value)) return false; // prose about it
  if (passwordKey.test(name)) return isPassword(value);
  return secretKey.test(name) && isToken(value);
}

const assigned = String.raw`["']?\s{0,4}(?:=>|=|:)\s{0,4}["']?`;
const value = String.raw`[^\s"'\x60,;&<>[\]{}()\\\0]`;

/** `password=...`, `"api_key": "..."` and their like, in text. */
export const findCredentials: readonly Find[] = [
  byPattern(
    "credential",
    new RegExp(`(?:${passwordNames})["']?\\s{0,4}(?:=>|=)\\s{0,4}["']?(${value}{6,})`, "gi"),
    isPassword,
  ),
  // After a colon there is often a word of prose.
  byPattern(
    "credential",
    new RegExp(`(?:${passwordNames})["']?\\s{0,4}:\\s{0,4}["']?(${value}{6,})`, "gi"),
    (found) => isPassword(found) && /[^a-z.]/.test(found.slice(1)),
  ),
  byPattern("credential", new RegExp(`(?:${secretNames})${assigned}(${value}{12,})`, "gi"), isToken),
  byPattern("credential", /\bAuthorization["']?\s{0,4}[:=]\s{0,4}["']?(?:Basic|Bearer)\s{1,4}([\w.~+/=-]{12,})/gi),
];

/** Name and password in an address: `postgres://app:...@db`. */
export const findConnectionStrings: Find = byPattern(
  "connection_string",
  /(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,30}:\/\/([^\s:/?#@"'<>[\]\0]{0,128}:[^\s/?#@"'<>\0]{1,256}(?=@))/gi,
  (found) => !placeholder.test(found.slice(found.indexOf(":") + 1)),
);
