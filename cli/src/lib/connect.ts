import type { CordumClient } from "@cordum/sdk";
import type { Gateway, LocalGateway } from "./gateway.ts";

/** The typed clients of one gateway, and the end of its connection. */
export type Clients = Omit<CordumClient, "submitAndWait">;

/** Clients for a gateway. They connect with the first call. */
export async function openClients({ url, apiKey, principal }: Gateway): Promise<Clients> {
  const { createClient } = await import("@cordum/sdk"); // late: help and usage errors come without it
  return createClient({
    gateway: url,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(principal === undefined ? {} : { principal }),
  });
}

/** What the nearest running `cordum dev`, in this folder or above, has left in `.cordum/dev.json`. */
export async function findLocalGateway(folder: string): Promise<LocalGateway | undefined> {
  const { findLocalConnection } = await import("@cordum/sdk");
  const { apiKey, gateway, path } = findLocalConnection(folder) ?? {};
  return gateway && path ? { url: gateway, apiKey, path } : undefined;
}
