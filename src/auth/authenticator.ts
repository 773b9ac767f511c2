import { createHash, timingSafeEqual } from "node:crypto";
import { DomainError } from "../errors/index.ts";
import type { Authenticator, Caller } from "../rpc/index.ts";
import { type ApiKey, parseApiKey, parseApiKeys } from "./parse-api-keys.ts";
import { presentedKeys } from "./presented-keys.ts";
import { grantOf } from "./roles.ts";

export interface AuthenticatorOptions {
  /** Value of `CORDUM_API_KEYS`; blank counts as absent. */
  apiKeys?: string | undefined;
  /** One more key, of the default tenant and with every right; blank counts as absent. */
  apiKey?: string | undefined;
  /** Tenant of keys that name none, and of anonymous callers. */
  defaultTenant: string;
  /** Let calls without a key in, with every right in the default tenant. A wrong key is refused all the same. */
  allowAnonymous?: boolean;
}

interface KnownKey {
  hash: Buffer;
  caller: Caller;
}

const maxPrincipalLength = 256;

/**
 * Authenticates by API key. Only hashes of the keys are kept.
 * @throws Error when the keys cannot be read, or when there is none and anonymous calls are not allowed
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { apiKeys = "", apiKey = "", defaultTenant, allowAnonymous = false } = options;
  const configured: ApiKey[] = [];
  if (apiKeys.trim() !== "") configured.push(...parseApiKeys(apiKeys));
  if (apiKey.trim() !== "") configured.push(parseApiKey(apiKey));
  if (configured.length === 0 && !allowAnonymous) {
    throw new Error(
      "no API key is configured: set CORDUM_API_KEYS or CORDUM_API_KEY, or CORDUM_INSECURE_NO_AUTH=1 to let everybody in",
    );
  }
  const known = toKnownKeys(configured, defaultTenant);
  const anonymous = toCaller(
    "anonymous",
    { tenant: defaultTenant, role: "admin", groups: [], principal: undefined },
    defaultTenant,
  );

  return {
    authenticate(headers, carrier) {
      const presented = presentedKeys(headers, carrier);
      if (allowAnonymous && (presented.length === 0 || known.length === 0)) return withPrincipal(anonymous, headers);
      if (presented.length === 0) throw refusal("an API key is required: send it as x-api-key", "missing_api_key");
      for (const key of presented) {
        const caller = find(known, key);
        if (caller) return withPrincipal(caller, headers);
      }
      throw refusal("the API key is not valid", "invalid_api_key");
    },
  };
}

function toKnownKeys(configured: readonly ApiKey[], defaultTenant: string): KnownKey[] {
  const byHash = new Map<string, KnownKey>();
  for (const apiKey of configured) {
    const hash = sha256(apiKey.key);
    const caller = toCaller(sha256(`key-id:${apiKey.key}`).toString("hex").slice(0, 12), apiKey, defaultTenant);
    const same = byHash.get(hash.toString("hex"));
    if (same && !alike(same.caller, caller))
      throw new Error(`API key ${caller.keyId} is listed twice with different rights`);
    byHash.set(hash.toString("hex"), { hash, caller });
  }
  return [...byHash.values()];
}

function toCaller(
  keyId: string,
  { tenant = "", role, groups, principal = "" }: Omit<ApiKey, "key">,
  defaultTenant: string,
): Caller {
  const crossTenant = tenant === "*";
  const ownTenant = crossTenant || tenant === "" ? defaultTenant : tenant;
  return Object.freeze({ keyId, tenant: ownTenant, crossTenant, role, groups, principal, allows: grantOf(role) });
}

function alike(a: Caller, b: Caller): boolean {
  return (
    a.tenant === b.tenant &&
    a.crossTenant === b.crossTenant &&
    a.role === b.role &&
    String(a.groups) === String(b.groups) &&
    a.principal === b.principal
  );
}

/** Compares with every key, so that the time taken says nothing about which one came close. */
function find(known: readonly KnownKey[], presented: string): Caller | undefined {
  const hash = sha256(presented);
  let found: Caller | undefined;
  for (const { hash: candidate, caller } of known) {
    if (timingSafeEqual(hash, candidate)) found = caller;
  }
  return found;
}

/** A key bound to a principal speaks for that one only; otherwise the caller says whom it speaks for. */
function withPrincipal(caller: Caller, headers: Headers): Caller {
  if (caller.principal !== "") return caller;
  const principal = headers.get("x-principal-id")?.trim() ?? "";
  if (principal === "") return caller;
  if (principal.length > maxPrincipalLength) {
    throw new DomainError("invalid_argument", `x-principal-id is longer than ${maxPrincipalLength} characters`);
  }
  return { ...caller, principal };
}

function refusal(message: string, reason: string): DomainError {
  return new DomainError("unauthenticated", message, { reason });
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
