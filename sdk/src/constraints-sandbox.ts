import { BlockList, isIP } from "node:net";
import { posix } from "node:path";
import type { SandboxProfile, ToolchainConstraints } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { matchesGlob } from "./constraints-glob.ts";

/** Any tool unless policy names some. Names are compared as they are; patterns may be used. */
export function isToolAllowed(toolchain: ToolchainConstraints | undefined, tool: string): boolean {
  const allowed = toolchain?.allowedTools ?? [];
  return allowed.length === 0 || allowed.some((pattern) => matchesGlob(pattern, tool));
}

/** What a shell would make more than one command of, or redirect, or expand. */
const shellSyntax = /[;&|<>`$(){}\r\n\0\\!]/;

/**
 * Any command unless policy names some. `git` allows git with any arguments, `git status` only what begins so; each word
 * may be a pattern. A command line that a shell would take for more than one plain command is not allowed, a list of
 * arguments is never taken apart.
 */
export function isCommandAllowed(
  toolchain: ToolchainConstraints | undefined,
  command: string | readonly string[],
): boolean {
  const allowed = toolchain?.allowedCommands ?? [];
  if (allowed.length === 0) return true;
  if (typeof command === "string" && shellSyntax.test(command)) return false;
  const words = typeof command === "string" ? wordsOf(command) : command;
  return allowed.some((entry) => {
    const wanted = wordsOf(entry);
    return wanted.length > 0 && wanted.every((pattern, at) => matchesWord(pattern, words[at]));
  });
}

function wordsOf(line: string): string[] {
  return line.trim().split(/\s+/).filter(Boolean);
}

function matchesWord(pattern: string, word: string | undefined): boolean {
  return word !== undefined && matchesGlob(pattern, word);
}

/**
 * Any host unless policy names some, or isolates the job: then only those. An entry is a name, `*.example.com` for all
 * names below it, an address, or a range such as `10.0.0.0/8`; with `:443` it holds for that port only.
 * @param host - a name or address, also with a port, or a URL
 */
export function isHostAllowed(sandbox: SandboxProfile | undefined, host: string): boolean {
  const allowed = sandbox?.networkAllowlist ?? [];
  if (allowed.length === 0) return sandbox?.isolated !== true;
  const target = parseHost(host);
  return target !== undefined && allowed.some((entry) => matchesHost(entry.trim(), target));
}

interface Target {
  readonly name: string;
  readonly port: string;
}

const defaultPorts: Record<string, string> = {
  "http:": "80",
  "https:": "443",
  "ws:": "80",
  "wss:": "443",
  "ftp:": "21",
};

/** As a client would understand it: odd spellings of an address are that address. */
function parseHost(host: string): Target | undefined {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(host);
  const bare = isIP(host) === 6 ? `[${host}]` : host;
  try {
    // An unknown scheme would leave the name as it is.
    const url = new URL(hasScheme ? host.replace(/^[^:]+/, "http") : `http://${bare}`);
    if (!hasScheme && (url.pathname !== "/" || url.username || url.search || url.hash)) return undefined;
    const scheme = hasScheme ? host.slice(0, host.indexOf(":") + 1).toLowerCase() : "";
    const given = /:(\d+)$/.exec(hasScheme ? (host.split("/")[2] ?? "") : bare)?.[1] ?? "";
    const name = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
    return name === ""
      ? undefined
      : { name, port: url.port || (given && String(Number(given))) || (defaultPorts[scheme] ?? "") };
  } catch {
    return undefined;
  }
}

function matchesHost(entry: string, { name, port }: Target): boolean {
  const isRange = entry.includes("/");
  if (isRange) return isInRange(entry, name);
  const isBelow = entry.startsWith("*.");
  const wanted = entry === "*" ? { name: "*", port: "" } : parseHost(isBelow ? entry.slice(2) : entry);
  if (wanted === undefined || (wanted.port !== "" && wanted.port !== port)) return false;
  if (wanted.name === "*") return true;
  return isBelow ? name.endsWith(`.${wanted.name}`) && isIP(name) === 0 : name === wanted.name;
}

function isInRange(range: string, name: string): boolean {
  const [network = "", length = ""] = range.split("/");
  const family = isIP(name);
  if (family === 0 || isIP(network) !== family || !/^\d{1,3}$/.test(length)) return false;
  if (Number(length) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const kind = family === 4 ? "ipv4" : "ipv6";
  list.addSubnet(network, Number(length), kind);
  return list.check(name, kind);
}

/** Below one of the folders, or under one of the patterns, of either list. */
export function canRead(sandbox: SandboxProfile | undefined, path: string, cwd: string): boolean {
  const { fsReadOnly = [], fsReadWrite = [] } = sandbox ?? {};
  return isInside([...fsReadOnly, ...fsReadWrite], sandbox, path, cwd);
}

/** Below one of the folders, or under one of the patterns, that may be written. */
export function canWrite(sandbox: SandboxProfile | undefined, path: string, cwd: string): boolean {
  const { fsReadOnly = [], fsReadWrite = [] } = sandbox ?? {};
  if (fsReadOnly.length > 0 && fsReadWrite.length === 0) return false;
  return isInside(fsReadWrite, sandbox, path, cwd);
}

function isInside(entries: readonly string[], sandbox: SandboxProfile | undefined, path: string, cwd: string): boolean {
  if (entries.length === 0) return sandbox?.isolated !== true;
  if (path === "" || path.includes("\0")) return false;
  const target = posix.resolve(cwd, path); // without any `..`
  return entries.filter(Boolean).some((entry) => {
    const root = posix.resolve(cwd, entry);
    if (root === "/" || target === root || target.startsWith(`${root}/`)) return true;
    return matchesGlob(root, target) || matchesGlob(`${root}/**`, target);
  });
}
