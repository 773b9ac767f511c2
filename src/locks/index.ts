export type { LockAddress } from "./keys.ts";
export type { Lock, LockHolder, LockMode } from "./lock.ts";
export {
  type Acquired,
  createLocks,
  type HoldClaim,
  type LockClaim,
  type Locks,
  type Released,
  type Renewed,
} from "./locks.ts";
export { createLockService } from "./service.ts";
