export { type Auditor, startAuditor } from "./auditor.ts";
export { createCallAuditor } from "./call-auditor.ts";
export { type Chains, createChains } from "./chain.ts";
export { createKeeper } from "./keeper.ts";
export { createMover } from "./mover.ts";
export { createOpenCalls } from "./open-calls.ts";
export { createAuditReader } from "./reader.ts";
export { createAuditService } from "./service.ts";
