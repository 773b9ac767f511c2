export { type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
export { requireTenant } from "./require-tenant.ts";
