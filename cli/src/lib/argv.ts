/** What the rewriting below needs to know of a flag. */
export interface FlagShape {
  type: "boolean" | "option";
}

const falseWords = new Set(["false", "f", "0"]);
const trueWords = new Set(["true", "t", "1"]);

/**
 * Rewrites two older spellings to today's: a long flag behind a single dash (`-topic job.x`), and a boolean flag with a
 * value (`--json=false`). Values of flags, and everything after `--`, stay as they are.
 */
export function modernizeFlags(argv: readonly string[], flags: Readonly<Record<string, FlagShape>>): string[] {
  const rewritten: string[] = [];
  let isValue = false;
  for (const [index, token] of argv.entries()) {
    if (token === "--" && !isValue) return [...rewritten, ...argv.slice(index)];
    const used: UsedFlag | undefined = isValue ? undefined : readFlag(token, flags);
    isValue = used?.type === "option" && used.value === undefined;
    rewritten.push(...(used === undefined ? [token] : writeFlag(token, used)));
  }
  return rewritten;
}

interface UsedFlag extends FlagShape {
  name: string;
  /** What stands behind `=`. */
  value: string | undefined;
}

function readFlag(token: string, flags: Readonly<Record<string, FlagShape>>): UsedFlag | undefined {
  const [, name = "", value] = /^--?([a-z][a-z-]+)(?:=(.*))?$/s.exec(token) ?? [];
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
  return flag && { name, value, type: flag.type };
}

function writeFlag(token: string, { name, type, value }: UsedFlag): string[] {
  if (type === "option" || value === undefined) return [token.replace(/^--?/, "--")];
  if (trueWords.has(value.toLowerCase())) return [`--${name}`];
  return falseWords.has(value.toLowerCase()) ? [] : [token];
}

const globalOptions = /^--?(gateway|api-key|as|timeout)(=.*)?$/s;

/** Moves global flags that stand before the command's words behind them: `--json job list` is `job list --json`. */
export function moveGlobalFlags(argv: readonly string[]): string[] {
  let words = 0;
  for (let token = argv[words]; token !== undefined; token = argv[words]) {
    const match = globalOptions.exec(token);
    if (match) words += match[2] === undefined ? 2 : 1;
    else if (/^--?json$/.test(token)) words += 1;
    else break;
  }
  const rest = argv.slice(words);
  const end = rest.indexOf("--");
  return end < 0
    ? [...rest, ...argv.slice(0, words)]
    : [...rest.slice(0, end), ...argv.slice(0, words), ...rest.slice(end)];
}
