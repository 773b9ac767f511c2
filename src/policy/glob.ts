/**
 * Topic patterns, matched against the whole topic, case-sensitive:
 *
 * - `*`, also written `**`: any run of characters except `/`, empty ones included; it crosses dots
 * - `?`: one character except `/`
 * - `[abc]` `[a-z]` `[^a]`: one character of the class, or not of it; `!` is an ordinary member
 * - `\x`: the character x itself
 * - anything else, also `{a,b}` and `>`: itself
 */
export interface Glob {
  /** Trimmed. */
  readonly pattern: string;
  /** What every matching topic starts with: the pattern up to its first special character, unescaped. */
  readonly prefix: string;
  /** `exact`: the prefix is the whole pattern. `prefix`: the prefix and one closing `*`. */
  readonly kind: "exact" | "prefix" | "general";
  /** Of general patterns only. */
  readonly tokens: readonly GlobToken[];
}

type GlobToken =
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "any" }
  | { readonly kind: "star" }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

const none: readonly GlobToken[] = [];

export type GlobResult = { kind: "glob"; glob: Glob } | { kind: "malformed"; message: string };

/** Reads a pattern, surrounding white space ignored. A blank pattern is malformed: it could never match. */
export function parseGlob(text: string): GlobResult {
  const pattern = text.trim();
  if (pattern === "") return { kind: "malformed", message: "the pattern is blank" };
  if (!/[*?[\\]/.test(pattern))
    return { kind: "glob", glob: { pattern, prefix: pattern, kind: "exact", tokens: none } };
  const chars = [...pattern];
  const tokens: GlobToken[] = [];
  let at = 0;
  while (at < chars.length) {
    const char = chars[at] as string;
    if (char === "[") {
      const parsed = parseClass(chars, at + 1);
      if (typeof parsed === "string") return { kind: "malformed", message: parsed };
      tokens.push(parsed.token);
      at = parsed.next;
      continue;
    }
    at += 1;
    if (char === "*") {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (char === "?") {
      tokens.push({ kind: "any" });
    } else if (char === "\\") {
      const escaped = chars[at++];
      if (escaped === undefined) return { kind: "malformed", message: "nothing follows the last \\" };
      tokens.push({ kind: "char", char: escaped });
    } else {
      tokens.push({ kind: "char", char });
    }
  }
  return { kind: "glob", glob: describeGlob(pattern, tokens) };
}

function describeGlob(pattern: string, tokens: GlobToken[]): Glob {
  let prefix = "";
  let literals = 0;
  for (const token of tokens) {
    if (token.kind !== "char") break;
    prefix += token.char;
    literals += 1;
  }
  if (literals === tokens.length) return { pattern, prefix, kind: "exact", tokens: none };
  const closingStar = literals === tokens.length - 1 && tokens[literals]?.kind === "star";
  return closingStar ? { pattern, prefix, kind: "prefix", tokens: none } : { pattern, prefix, kind: "general", tokens };
}

/** Reads a class from behind its `[`. Answers the problem as text when there is one. */
function parseClass(chars: readonly string[], start: number): { token: GlobToken; next: number } | string {
  const negated = chars[start] === "^";
  const ranges: [number, number][] = [];
  let at = negated ? start + 1 : start;
  while (chars[at] !== "]" || ranges.length === 0) {
    const low = parseMember(chars, at);
    if (typeof low === "string") return low;
    at = low.next;
    let high = low;
    if (chars[at] === "-") {
      const end = parseMember(chars, at + 1);
      if (typeof end === "string") return end;
      high = end;
      at = end.next;
    }
    if (high.code < low.code) return "a range in a [ class runs backwards";
    ranges.push([low.code, high.code]);
  }
  return { token: { kind: "class", negated, ranges }, next: at + 1 };
}

function parseMember(chars: readonly string[], at: number): { code: number; next: number } | string {
  let next = at;
  const first = chars[next];
  if (first === "]") return "a [ class is empty or a range in it has no end";
  if (first === "-") return "a - in a [ class needs a character before it, or a \\ to stand for itself";
  if (first === "\\") next += 1;
  const code = chars[next]?.codePointAt(0);
  if (code === undefined) return "a [ class is never closed with ]";
  return { code, next: next + 1 };
}

/** Whether the glob matches the whole topic. Costs at most topic length times pattern length. */
export function matchesGlob(glob: Glob, topic: string): boolean {
  if (glob.kind === "exact") return topic === glob.prefix;
  if (!topic.startsWith(glob.prefix)) return false;
  if (glob.kind === "prefix") return !topic.includes("/", glob.prefix.length);
  return matchesTokens(glob.tokens, topic);
}

/**
 * Follows all ways to match at once: `reached[i]` says that the first i tokens match the topic so far. Backtracking
 * would take time exponential in the number of stars.
 */
function matchesTokens(tokens: readonly GlobToken[], topic: string): boolean {
  let reached = new Uint8Array(tokens.length + 1);
  let next = new Uint8Array(tokens.length + 1);
  reached[0] = 1;
  skipStars(tokens, reached);
  for (const char of topic) {
    next.fill(0);
    for (const [index, token] of tokens.entries()) {
      if (reached[index] === 0) continue;
      if (token.kind === "star") {
        if (char !== "/") next[index] = 1;
      } else if (accepts(token, char)) {
        next[index + 1] = 1;
      }
    }
    skipStars(tokens, next);
    [reached, next] = [next, reached];
  }
  return reached[tokens.length] === 1;
}

/** A star may match nothing: whoever stands before it stands behind it too. */
function skipStars(tokens: readonly GlobToken[], reached: Uint8Array): void {
  for (const [index, token] of tokens.entries()) {
    if (token.kind === "star" && reached[index] === 1) reached[index + 1] = 1;
  }
}

function accepts(token: GlobToken, char: string): boolean {
  switch (token.kind) {
    case "char":
      return token.char === char;
    case "any":
      return char !== "/";
    case "class": {
      const code = char.codePointAt(0) ?? 0;
      return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
    }
    case "star":
      return false;
  }
}
