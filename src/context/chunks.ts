/** A piece of a file that somebody has put into a memory. */
export interface Chunk {
  readonly path: string;
  readonly language: string;
  readonly bytes: number;
  readonly loc: number;
  readonly content: string;
}

/** Undefined for what is no chunk. */
export function parseChunk(stored: string): Chunk | undefined {
  try {
    const { path, language, bytes, loc, content } = JSON.parse(stored) as Record<string, unknown>;
    if (typeof path !== "string" || path === "") return undefined;
    return {
      path,
      language: typeof language === "string" ? language : "",
      bytes: typeof bytes === "number" ? bytes : 0,
      loc: typeof loc === "number" ? loc : 0,
      content: typeof content === "string" ? content : "",
    };
  } catch {
    return undefined; // others write chunks
  }
}

/** Whether a chunk is about a file: either path contains the other. */
export function concerns({ path }: Pick<Chunk, "path">, filePath: string): boolean {
  return path.includes(filePath) || filePath.includes(path);
}

/** What a model is told of a chunk. */
export function describeChunk({ path, language, bytes, loc, content }: Chunk): string {
  const body = content || `language: ${language || "unknown"}, bytes: ${bytes}, lines: ${loc}`;
  return `Context from ${path}:\n${body}`;
}

/** Chunk keys in the order of their numbers: a set has none. */
export function sortKeys(keys: readonly string[]): string[] {
  return [...keys].sort((a, b) => collator.compare(a, b));
}

const collator = new Intl.Collator("en", { numeric: true });
