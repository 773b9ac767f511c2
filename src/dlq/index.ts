export { type DeadLetter, isPoisonKey, type Poison } from "./dead-letter.ts";
export { type EndedBadly, publishDeadLetter } from "./publish.ts";
export { createDlqService, type DlqServiceDeps } from "./service.ts";
export { createDeadLetterStore, type DeadLetterStore, type DeadLetterStoreOptions } from "./store.ts";
export { seesPoison } from "./visibility.ts";
