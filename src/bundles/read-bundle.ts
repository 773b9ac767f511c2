import type { Bundle } from "./model.ts";

/**
 * A bundle as it is stored. Others may have written it: what is no object is the content itself, and a bundle that does
 * not say whether it is enabled is.
 */
export function readBundle(id: string, stored: string): Bundle {
  const fields = fieldsOf(stored);
  const text = (name: string) => (typeof fields[name] === "string" ? fields[name] : "");
  return {
    id,
    content: text("content"),
    enabled: isEnabled(fields.enabled),
    author: text("author"),
    message: text("message"),
    createdAt: text("createdAt"),
    updatedAt: text("updatedAt"),
    signature: text("signature"),
    version: text("version"),
    installedAt: text("installedAt"),
  };
}

function fieldsOf(stored: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(stored);
    if (typeof value === "string") return { content: value };
    if (typeof value === "object" && value !== null && "content" in value) return value as Record<string, unknown>;
  } catch {
    // not JSON: the text is the policy, and is judged as one
  }
  return { content: stored };
}

/** A missing value is yes; a text or a number is what it says. */
export function isEnabled(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value === "boolean") return value;
  return ["1", "true", "yes", "y", "on"].includes(String(value).trim().toLowerCase());
}
