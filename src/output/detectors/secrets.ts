import { entropyOf, findConnectionStrings, findCredentials } from "./credentials.ts";
import { byPattern, type Find, type Finding, separator } from "./finding.ts";

/** Not in the middle of a longer word. */
const alone = "(?<![A-Za-z0-9])";
const token = (kind: string, pattern: string, accept?: (found: string) => boolean) =>
  byPattern(kind, new RegExp(alone + pattern, "g"), accept);

const hasDigit = (found: string) => /\d/.test(found) && entropyOf(found.slice(0, 128)) >= 3;

const beginKey = /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const endKey = /-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const keyBody = /(?:[A-Za-z0-9+/=\s]|\\[nr])*/y;

/** From its first line to its last; when that is missing, as far as the key goes. */
const findPrivateKeys: Find = (text) => {
  const findings: Finding[] = [];
  const ends = [...text.matchAll(endKey)].map(({ index, 0: line }) => ({ index, end: index + line.length }));
  let at = 0;
  for (const { index, 0: line } of text.matchAll(beginKey)) {
    const start = index + line.length;
    if (start <= (findings.at(-1)?.end ?? 0)) continue; // inside of the one before
    while (at < ends.length && (ends[at]?.index ?? 0) < start) at++;
    const end = ends[at];
    keyBody.lastIndex = start;
    const body = keyBody.exec(text)?.[0].length ?? 0;
    // A stray END far away closes nothing, and no key reaches into another text. A key may be encrypted: it has headers.
    const isClosed =
      end !== undefined && end.index - start <= longestKey && !text.slice(start, end.index).includes(separator);
    findings.push({ start: index, end: isClosed ? end.end : start + body, kind: "private_key" });
  }
  return findings;
};
const longestKey = 32_768;

/** Three parts between dots, the first two of them encoded objects. */
const findJwts: Find = (text) => {
  const findings: Finding[] = [];
  const part = /[\w-]*/y;
  const endOfPart = (from: number) => {
    part.lastIndex = from;
    part.exec(text);
    return part.lastIndex;
  };
  for (let dot = text.indexOf(".eyJ"); dot >= 0; dot = text.indexOf(".eyJ", dot + 1)) {
    let from = dot;
    while (from > 0 && /[\w-]/.test(text[from - 1] ?? "")) from--;
    const header = text.slice(from, dot).indexOf("eyJ");
    const payload = endOfPart(dot + 1);
    if (header < 0 || dot - from - header < 10 || payload - dot < 5 || text[payload] !== ".") continue;
    const end = endOfPart(payload + 1); // an unsigned one ends with a dot
    findings.push({ start: from + header, end, kind: "jwt" });
  }
  return findings;
};

/** Every kind of secret, with those that find it. */
export const secretDetectors: Readonly<Record<string, readonly Find[]>> = {
  aws_access_key: [
    token("aws_access_key", "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA)[A-Z0-9]{16}(?![A-Z0-9])"),
  ],
  gcp_key: [
    token("gcp_key", "AIza[\\w-]{35}(?![\\w-])"),
    token("gcp_key", "ya29\\.[\\w-]{20,}"),
    byPattern("gcp_key", /"?private_key_id"?\s{0,4}[:=]\s{0,4}"?([0-9a-f]{40})(?![0-9a-f])/g),
  ],
  github_token: [token("github_token", "gh[opsur]_[A-Za-z0-9]{36,}"), token("github_token", "github_pat_\\w{40,}")],
  gitlab_token: [token("gitlab_token", "gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[\\w.-]{20,}", hasDigit)],
  slack_token: [
    token("slack_token", "xox[abeoprs]-[\\w-]{10,}"),
    token("slack_token", "xapp-\\d-[\\w-]{10,}"),
    byPattern("slack_token", /hooks\.slack\.com\/(?:services|workflows)\/([\w/]{20,})/g),
  ],
  stripe_key: [
    token("stripe_key", "(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    token("stripe_key", "whsec_[\\w+/=]{20,}"),
  ],
  anthropic_key: [token("anthropic_key", "sk-ant-[\\w-]{20,}", hasDigit)],
  openai_key: [token("openai_key", "sk-(?!ant-)[\\w-]{20,}", hasDigit)],
  npm_token: [token("npm_token", "npm_[A-Za-z0-9]{36,}")],
  pypi_token: [token("pypi_token", "pypi-[\\w-]{50,}")],
  huggingface_token: [token("huggingface_token", "hf_[A-Za-z0-9]{30,}")],
  sendgrid_key: [token("sendgrid_key", "SG\\.[\\w-]{16,64}\\.[\\w-]{16,}")],
  jwt: [findJwts],
  private_key: [findPrivateKeys],
  connection_string: [findConnectionStrings],
  credential: findCredentials,
};
