/** What is known of an artifact beside its content. */
export interface ArtifactMeta {
  /** Empty when nobody said. */
  readonly contentType: string;
  readonly retention: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined when nobody said. */
  readonly sizeBytes: number | undefined;
  /** SHA-256 of the content, lower-case hex; empty for what older versions and workers wrote. */
  readonly sha256: string;
  /** The content may not be written yet. */
  readonly isPending: boolean;
}

/** As it is stored. Names and shape are those that workers write, too. */
export function formatMeta({ contentType, retention, labels, sizeBytes, sha256, isPending }: ArtifactMeta): string {
  return JSON.stringify({
    ...(contentType && { content_type: contentType }),
    ...(sizeBytes !== undefined && { size_bytes: sizeBytes }),
    ...(retention && { retention }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(sha256 && { sha256 }),
    ...(isPending && { pending: true }),
  });
}

/** What cannot be read counts as not said: workers write this, too. */
export function parseMeta(text: string | null): ArtifactMeta {
  const json = toRecord(parseJson(text));
  const { content_type, size_bytes, retention, labels, sha256, pending } = json;
  return {
    contentType: toText(content_type),
    retention: toText(retention),
    labels: Object.fromEntries(
      Object.entries(toRecord(labels)).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
    ),
    sizeBytes: typeof size_bytes === "number" ? size_bytes : undefined,
    sha256: toText(sha256),
    isPending: pending === true,
  };
}

/** Whether two descriptions are those of the same upload. */
export function describeSame(a: ArtifactMeta, b: ArtifactMeta): boolean {
  return identityOf(a) === identityOf(b);
}

function identityOf({ contentType, retention, labels, sha256 }: ArtifactMeta): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([contentType, retention, sorted, sha256]);
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : "";
}
