import { type Find, type Finding, mergeFindings } from "./finding.ts";
import { findIpv4, piiDetectors } from "./pii.ts";
import { secretDetectors } from "./secrets.ts";

const kinds: Readonly<Record<string, readonly Find[]>> = { ...secretDetectors, ...piiDetectors, ipv4: [findIpv4] };

const groups: Readonly<Record<string, readonly string[]>> = {
  secrets: Object.keys(secretDetectors),
  pii: Object.keys(piiDetectors),
};

/** What `detectors` of a rule may name: groups, and each kind by itself. */
export const knownDetectors: readonly string[] = [...Object.keys(groups), ...Object.keys(kinds)];

/** The kinds behind names; a name that is unknown is an error, for nothing would be looked for. */
export function kindsOf(names: readonly string[]): ReadonlySet<string> {
  return new Set(
    names.flatMap((name) => {
      const members = Object.hasOwn(groups, name) ? groups[name] : Object.hasOwn(kinds, name) ? [name] : undefined;
      if (members === undefined) throw new Error(`unknown detector "${name}"`);
      return members;
    }),
  );
}

/** What of these kinds is in a text, in order and without overlaps. */
export function detect(text: string, wanted: ReadonlySet<string>): Finding[] {
  const findings: Finding[] = [];
  for (const kind of wanted) {
    for (const find of kinds[kind] ?? []) {
      const found = find(text);
      // No spread: a text may hold more findings than a call takes arguments.
      for (const finding of found) findings.push(finding);
    }
  }
  return mergeFindings(findings);
}
