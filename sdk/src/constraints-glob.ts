/**
 * Patterns of constraints: `*` is any run of characters but `/`, `**` any run at all, `?` one character but `/`; all else
 * is itself, and `\x` is x. A `**` that is a whole folder of a path stands for any number of folders, also none. Case counts.
 */
type Token =
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "one" | "run" | "any" }
  /** The two stand for folders with their slashes: the first may be left out with the second, which ends with a slash. */
  | { readonly kind: "folders" | "inside" };

/** Whether a pattern holds for the whole text. Takes time in proportion to both, whatever they hold. */
export function matchesGlob(pattern: string, text: string): boolean {
  const tokens = parse(pattern);
  let states = reach(tokens, new Set([0]));
  for (const character of text) {
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token !== undefined) step(token, state, character, next);
    }
    if (next.size === 0) return false;
    states = reach(tokens, next);
  }
  return states.has(tokens.length);
}

/** Adds the states after one character. */
function step(token: Token, state: number, character: string, next: Set<number>): void {
  const isSlash = character === "/";
  if (token.kind === "any" || token.kind === "inside" || (token.kind === "run" && !isSlash)) next.add(state);
  const isPassed =
    (token.kind === "character" && token.character === character) ||
    (token.kind === "one" && !isSlash) ||
    (token.kind === "inside" && isSlash);
  if (isPassed) next.add(state + 1);
}

/** With the states behind runs, which may be empty. */
function reach(tokens: readonly Token[], states: Set<number>): Set<number> {
  for (const state of states) {
    const kind = tokens[state]?.kind;
    // A set yields what is added while it is read.
    if (kind === "run" || kind === "any" || kind === "folders") states.add(state + 1);
    if (kind === "folders") states.add(state + 2);
  }
  return states;
}

const folders: readonly Token[] = [{ kind: "folders" }, { kind: "inside" }];

function parse(pattern: string): Token[] {
  const tokens: Token[] = [];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    if (character === "\\" && at + 1 < characters.length) {
      tokens.push({ kind: "character", character: characters[++at] ?? "" });
    } else if (character === "*" && characters[at + 1] === "*") {
      while (characters[at + 1] === "*") at++;
      const isFolder = (tokens.length === 0 || isSlash(tokens.at(-1))) && characters[at + 1] === "/";
      if (isFolder) at++;
      tokens.push(...(isFolder ? folders : [{ kind: "any" } as const]));
    } else if (character === "*") tokens.push({ kind: "run" });
    else if (character === "?") tokens.push({ kind: "one" });
    else tokens.push({ kind: "character", character });
  }
  return tokens;
}

function isSlash(token: Token | undefined): boolean {
  return token?.kind === "character" && token.character === "/";
}
