import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { DomainError } from "../errors/index.ts";
import type { CallAuditor } from "./audited.ts";
import { callKey } from "./call.ts";
import { type Authenticator, type Caller, type CredentialCarrier, callerKey } from "./caller.ts";
import { toConnectError } from "./errors.ts";
import type { MethodRules } from "./method-rules.ts";
import { createRateLimiter, type RateLimiter } from "./rate-limit.ts";

/** The part of a call that is known before its body is read. */
export interface GatedCall {
  readonly method: DescMethod;
  readonly requestHeader: Headers;
  readonly values: ContextValues;
}

/** Decides from the headers alone whether a call may go on: who is it, is it too much, is it allowed. */
export interface Gate {
  /** Sets the caller in the call's context. @throws ConnectError */
  admit(call: GatedCall): Promise<void>;
  /** The same for what is not an RPC, by permission. @throws DomainError */
  admitUpgrade(headers: Headers, permission: string, remoteAddress: string): Promise<Caller>;
}

export interface GateDeps {
  authenticator: Authenticator;
  rulesOf: (method: DescMethod) => MethodRules;
  /** Undefined: unlimited. */
  limiter: RateLimiter | undefined;
  /** Told about audited methods that a known caller may not use. */
  auditor?: CallAuditor | undefined;
}

/** Guesses at keys from one address. Far above what a misconfigured fleet behind one NAT needs to notice. */
const failedAttempts = { requestsPerSecond: 20, burst: 200 };

export function createGate({ authenticator, rulesOf, limiter, auditor }: GateDeps): Gate {
  const failures = createRateLimiter(failedAttempts);

  async function identify(headers: Headers, carrier: CredentialCarrier, remoteAddress: string): Promise<Caller> {
    let caller: Caller;
    try {
      caller = await authenticator.authenticate(headers, carrier);
    } catch (reason) {
      failures.take(remoteAddress);
      throw reason;
    }
    limiter?.take(caller.keyId);
    return caller;
  }

  return {
    async admit({ method, requestHeader, values }) {
      const call = values.get(callKey);
      const { permission, name, audited } = rulesOf(method);
      if (permission === "public") return;
      try {
        const caller = await identify(requestHeader, "call", call.remoteAddress);
        call.tenant = caller.tenant;
        call.keyId = caller.keyId;
        values.set(callerKey, caller);
        requirePermission(caller, permission, name);
      } catch (reason) {
        const error = toConnectError(reason);
        call.code = error.code;
        const isKnown = values.get(callerKey).tenant !== "";
        const refused = { method: name, header: requestHeader, values, message: undefined, notes: {} };
        if (audited && isKnown) await auditor?.refused(refused, error);
        throw error;
      }
    },
    async admitUpgrade(headers, permission, remoteAddress) {
      const caller = await identify(headers, "websocket", remoteAddress);
      requirePermission(caller, permission, "this stream");
      return caller;
    },
  };
}

function requirePermission(caller: Caller, permission: string | undefined, what: string): void {
  if (permission === undefined) {
    throw new DomainError("permission_denied", `${what} is not open to callers`, { reason: "no_permission_declared" });
  }
  if (!caller.allows(permission)) {
    throw new DomainError("permission_denied", `role ${caller.role} lacks permission ${permission}`, {
      reason: "missing_permission",
    });
  }
}
