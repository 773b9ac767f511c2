export {
  createDefinitionStore,
  type DefinitionStore,
  type DefinitionVersion,
  isStartable,
  type SaveDefinition,
  type SavedDefinition,
  type StoredDefinition,
} from "./definitions.ts";
export type {
  CommitReply,
  ContextEntry,
  CreateReply,
  DueTimer,
  LoadedParts,
  LoadedRun,
  NewRun,
  RunChanges,
  RunCommit,
  RunParts,
  TimerChange,
} from "./model.ts";
export {
  createRunReader,
  createRunTenants,
  type RunPage,
  type RunQuery,
  type RunReader,
  type StoredEvent,
  type StoredRun,
  type StoredStep,
  type StoredUnit,
  type TimelinePage,
} from "./reader.ts";
export { createRunSlots, type RunSlots } from "./slots.ts";
export { createRunStore, type RunStore, type RunStoreOptions } from "./store.ts";
