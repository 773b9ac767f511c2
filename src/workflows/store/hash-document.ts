import { createHash } from "node:crypto";
import type { WorkflowDocument } from "../model/document.ts";

/** SHA-256 of a document, lower-case hex. Does not depend on the order of keys. */
export function hashDocument(document: WorkflowDocument): string {
  return createHash("sha256").update(canonicalJson(document)).digest("hex");
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined); // JSON leaves them out
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
}
