import { usageError } from "./cli-error.ts";

/** Where requests go, and who said so. */
export interface Gateway {
  /** `http://host:port`, without a slash at its end. */
  url: string;
  apiKey: string | undefined;
  /** Who acts, where the key does not say. */
  principal?: string | undefined;
  /** For messages: `--gateway`, `CORDUM_GATEWAY`, the path of a file, or `the default`. */
  origin: string;
}

export interface GatewaySources {
  flags: { gateway?: string | undefined; apiKey?: string | undefined; principal?: string | undefined };
  env: Readonly<Record<string, string | undefined>>;
  /** Reads what a local `cordum dev` has left; asked only when flags and environment leave something open. */
  findLocal: () => Promise<LocalGateway | undefined>;
}

export interface LocalGateway {
  url: string;
  apiKey?: string | undefined;
  path: string;
}

const defaultUrl = "http://localhost:8081";

/**
 * Flags win over the environment, the environment over a local `cordum dev`, that over http://localhost:8081. The key of
 * a local `cordum dev` goes to its own address only. Values are trimmed; a blank one counts as absent.
 * @throws CliError (usage) when an address is not an http or https URL
 */
export async function resolveGateway({ flags, env, findLocal }: GatewaySources): Promise<Gateway> {
  const apiKey = text(flags.apiKey) ?? text(env.CORDUM_API_KEY);
  const principal = text(flags.principal) ?? text(env.CORDUM_PRINCIPAL);
  const named = text(flags.gateway) ? "--gateway" : text(env.CORDUM_GATEWAY) ? "CORDUM_GATEWAY" : undefined;
  const address = text(flags.gateway) ?? text(env.CORDUM_GATEWAY);
  const local = address !== undefined && apiKey !== undefined ? undefined : await findLocal();
  const localUrl = local && parseUrl(local.url, local.path);
  if (address === undefined && local === undefined)
    return { url: defaultUrl, apiKey, principal, origin: "the default" };
  const origin = named ?? local?.path ?? "";
  const url = parseUrl(address ?? local?.url ?? "", origin);
  return { url, apiKey: apiKey ?? (url === localUrl ? text(local?.apiKey) : undefined), principal, origin };
}

function text(value: string | undefined): string | undefined {
  return value?.trim() || undefined;
}

function parseUrl(address: string, origin: string): string {
  const url = URL.parse(address);
  const problem =
    url === null || !/^https?:$/.test(url.protocol)
      ? "is not a URL such as http://localhost:8081"
      : url.username || url.password || url.search || url.hash
        ? "may hold a host, a port and a path only"
        : undefined;
  if (url === null || problem !== undefined) throw usageError(`the gateway address (${origin}) ${problem}`);
  return url.href.replace(/\/+$/, "");
}
