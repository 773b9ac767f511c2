import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RedisClient } from "./connect.ts";

export type ScriptArg = string | number | Uint8Array;

export interface Script {
  name: string;
  source: string;
  sha: string;
}

/**
 * Reads a `.lua` file once, at module load. A line `-- @include name` is replaced by `includes/name.lua` beside it, and
 * `-- @define NAME` by `local NAME = <value>` from `defines`, so that a table has one source in TypeScript.
 * @param url - `new URL("./create.lua", import.meta.url)`
 */
export function loadScript(url: URL, defines: Record<string, string> = {}): Script {
  const source = readFileSync(url, "utf8").replace(
    /^-- @(include|define) (\S+)$/gm,
    (_, kind: string, name: string) => {
      if (kind === "include") return readFileSync(new URL(`includes/${name}.lua`, url), "utf8");
      const value = defines[name];
      if (value === undefined) throw new Error(`${url.pathname} asks for the undefined constant ${name}`);
      return `local ${name} = ${value}`;
    },
  );
  const name =
    url.pathname
      .split("/")
      .at(-1)
      ?.replace(/\.lua$/, "") ?? "";
  return { name, source, sha: createHash("sha1").update(source).digest("hex") };
}

/**
 * Runs a script by digest and loads it when the server does not know it. Text replies are strings.
 * Safe to repeat after NOSCRIPT: a server that does not know the script has run nothing of it.
 */
export async function runScript(
  redis: RedisClient,
  script: Script,
  keys: string[],
  args: ScriptArg[],
): Promise<unknown> {
  const rest = [keys.length, ...keys, ...args.map(toRedisArg)];
  try {
    return await redis.call("EVALSHA", [script.sha, ...rest]);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return await redis.call("EVAL", [script.source, ...rest]);
  }
}

function toRedisArg(arg: ScriptArg): string | number | Buffer {
  if (!(arg instanceof Uint8Array) || Buffer.isBuffer(arg)) return arg as string | number | Buffer;
  return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength);
}
