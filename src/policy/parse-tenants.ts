import type { DocumentContext } from "./document-context.ts";
import { fold } from "./fold.ts";
import type { TenantPolicy } from "./model.ts";
import { readMcp, topicPatterns } from "./parse-match.ts";
import { listOf, mapOf, object, type Read, text, wholeNumber } from "./read-yaml.ts";

const texts = listOf(text);

const readTenantShape = object({
  allow_topics: topicPatterns,
  deny_topics: topicPatterns,
  mcp: readMcp,
  allowed_repo_hosts: texts,
  denied_repo_hosts: texts,
  max_concurrent_jobs: wholeNumber(32),
});

const notEnforced = ["allowed_repo_hosts", "denied_repo_hosts", "max_concurrent_jobs"];

const readAll = mapOf((yaml, at) => ({ read: readTenantShape(yaml, at), at }));

/** Tenants in order. Names that differ only in case would be one tenant with two policies: refused. */
export function tenantsReader({ source }: DocumentContext): Read<readonly TenantPolicy[]> {
  return (yaml, place) => {
    const read = readAll(yaml, place);
    if (read === undefined) return undefined;
    const tenants: TenantPolicy[] = [];
    const seen = new Map<string, string>();
    for (const [name, { read: shape, at }] of read) {
      const other = seen.get(fold(name));
      if (other !== undefined) yaml.report("error", at, `the tenant ${JSON.stringify(other)} differs only in case`);
      seen.set(fold(name), name);
      for (const key of notEnforced) {
        const member = shape?.places.get(key);
        if (member !== undefined) yaml.report("warning", member, "this limit is read but not enforced");
      }
      const { allow_topics, deny_topics, mcp } = shape?.members ?? {};
      tenants.push({
        name,
        allowTopics: allow_topics ?? [],
        denyTopics: deny_topics ?? [],
        mcp,
        source: { tier: "tenant", source, line: yaml.lineOf(at) },
      });
    }
    return tenants;
  };
}
