import { type Bundle, parseBundleId } from "./model.ts";
import { isEnabled } from "./read-bundle.ts";

/** What an older installation kept as policy. */
export interface OldBundles {
  readonly bundles: readonly Bundle[];
  /** Entries that are no bundle. */
  readonly skipped: readonly { readonly id: string; readonly why: string }[];
}

/**
 * Pure: the bundles in a document `cfg:system:policy`, at `data.bundles`. An entry is a text, or an object whose first
 * text among `content`, `policy` and `data` is the policy.
 * @param now - stands in for times that are missing
 * @throws Error when it is no such document
 */
export function parseOldBundles(document: string, now: string): OldBundles {
  const root: unknown = JSON.parse(document);
  if (!isObject(root)) throw new Error("it is no JSON object");
  const data = root.data ?? {};
  const entries = isObject(data) ? (data.bundles ?? {}) : undefined;
  if (!isObject(entries)) throw new Error("data.bundles is no map");
  const bundles: Bundle[] = [];
  const skipped: { id: string; why: string }[] = [];
  for (const [id, entry] of Object.entries(entries)) {
    const bundle = toBundle(id, entry, now);
    if (typeof bundle === "string") skipped.push({ id, why: bundle });
    else bundles.push(bundle);
  }
  return { bundles, skipped };
}

function toBundle(id: string, entry: unknown, now: string): Bundle | string {
  if (!isId(id)) return "its id is none";
  const fields = isObject(entry) ? entry : { content: entry };
  const text = (name: string) => (typeof fields[name] === "string" ? fields[name] : "");
  const content = ["content", "policy", "data"].map((name) => fields[name]).find((value) => typeof value === "string");
  if (content === undefined || content.trim() === "") return "it has no content";
  const createdAt = text("created_at") || text("installed_at") || now;
  return {
    id,
    content,
    enabled: isEnabled(fields.enabled),
    author: text("author"),
    message: text("message"),
    createdAt,
    updatedAt: text("updated_at") || createdAt,
    signature: text("signature"),
    version: text("version"),
    installedAt: text("installed_at"),
  };
}

function isId(text: string): boolean {
  try {
    return parseBundleId(text) === text;
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
