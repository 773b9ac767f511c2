import { createContextKey } from "@connectrpc/connect";

/** Who is calling, and what they may do. Set by the authentication step before any handler runs. */
export interface Caller {
  /** Names the credential without revealing it; safe to log. `anonymous` when none is asked for. */
  readonly keyId: string;
  /** The tenant the caller acts for when a request names none. */
  readonly tenant: string;
  /** True when the caller may name any tenant. */
  readonly crossTenant: boolean;
  /** For example `admin`, `user`, `viewer` or `worker`. */
  readonly role: string;
  /** Further names that policy may ask of somebody who approves. Default: none. */
  readonly groups?: readonly string[];
  /** The person or program behind the call; empty when unknown. */
  readonly principal: string;
  /** Whether the caller's role grants a permission such as `jobs.submit`. */
  allows(permission: string): boolean;
}

/** Stands for a call that was never authenticated: it may do nothing. */
const nobody: Caller = Object.freeze({
  keyId: "none",
  tenant: "",
  crossTenant: false,
  role: "none",
  principal: "",
  allows: () => false,
});

/** `context.values.get(callerKey)` is the caller of an RPC. Never undefined. */
export const callerKey = createContextKey<Caller>(nobody, { description: "caller" });

/** How credentials arrive: a WebSocket upgrade from a browser can carry them only in its subprotocols. */
export type CredentialCarrier = "call" | "websocket";

/** Turns the headers of a call into its caller. */
export interface Authenticator {
  /** @throws DomainError `unauthenticated` when the headers carry no valid credential */
  authenticate(headers: Headers, carrier: CredentialCarrier): Caller | Promise<Caller>;
}
