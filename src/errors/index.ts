export {
  DomainError,
  type DomainErrorCode,
  type DomainErrorOptions,
  type FieldViolation,
  invalidField,
} from "./domain-error.ts";
export { isOutside } from "./outside.ts";
