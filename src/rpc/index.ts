export { type AuditedCall, type AuditNotes, auditDetail, type CallAuditor } from "./audited.ts";
export { callKey } from "./call.ts";
export { type Authenticator, type Caller, type CredentialCarrier, callerKey } from "./caller.ts";
export { eachItem } from "./each-item.ts";
export { codeName, toConnectError } from "./errors.ts";
export {
  createHealthRegistry,
  type HealthCheck,
  type HealthCheckOptions,
  type HealthRegistry,
  type HealthReport,
} from "./health.ts";
export { answerHealth } from "./health-http.ts";
export { checkRules } from "./interceptors.ts";
export type {
  CorsOptions,
  RateLimitOptions,
  RpcServer,
  RpcServerOptions,
  StreamSocket,
  TlsOptions,
  UpgradeRequest,
  WebSocketOptions,
} from "./options.ts";
export { createRateLimiter } from "./rate-limit.ts";
export { createRpcServer } from "./server.ts";
