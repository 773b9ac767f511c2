import type { JsonObject } from "@bufbuild/protobuf";
import type { ConfigDocument, ConfigRevision, GetEffectiveConfigResponse } from "@cordum/proto/cordum/v1/config_pb.js";
import { formatTarget } from "./config-target.ts";
import { formatLabels } from "./job-view.ts";
import { type Column, oneLine } from "./text.ts";
import { formatYaml } from "./yaml.ts";

export const configColumns: Column<ConfigDocument>[] = [
  { title: "DOCUMENT", value: formatTarget },
  { title: "REVISION", value: ({ revision }) => String(revision) },
  { title: "TENANT", value: ({ tenant }) => tenant },
  { title: "BY", value: ({ updatedBy }) => updatedBy },
  { title: "UPDATED", value: ({ updatedAt }) => updatedAt },
];

export const revisionColumns: Column<ConfigRevision>[] = [
  { title: "REVISION", value: ({ revision }) => String(revision) },
  { title: "UPDATED", value: ({ updatedAt }) => updatedAt },
  { title: "BY", value: ({ updatedBy }) => updatedBy },
  { title: "CHANGE", value: ({ deleted }) => (deleted ? "deleted" : "written") },
  { title: "MESSAGE", value: ({ message }) => message },
  { title: "HASH", value: ({ hash }) => hash.slice(0, 12) },
];

/** The document as YAML that can be edited and written back; what else is known of it stands in comments. */
export async function documentText(document: ConfigDocument): Promise<string> {
  const { meta, revision, tenant, updatedAt, updatedBy } = document;
  const facts = [
    `${formatTarget(document)}, revision ${revision}`,
    [updatedAt && `updated ${updatedAt}`, updatedBy && `by ${updatedBy}`].filter(Boolean).join(" "),
    tenant && `tenant ${tenant}`,
    formatLabels(meta) && `meta ${formatLabels(meta)}`,
  ];
  return withComments(facts, document.data);
}

export async function effectiveText({ data, hash, version }: GetEffectiveConfigResponse): Promise<string> {
  return withComments([version && `version ${version}`, hash && `hash ${hash}`], data);
}

async function withComments(facts: readonly string[], data: JsonObject | undefined): Promise<string> {
  const comments = facts.filter(Boolean).map((fact) => `# ${oneLine(fact)}`);
  return [...comments, await formatYaml(data ?? {})].join("\n");
}
