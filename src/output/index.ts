export { knownDetectors } from "./detectors/registry.ts";
export {
  createOutputReviewer,
  type JobOutput,
  type OutputReviewer,
  type OutputReviewerOptions,
  type OutputRule,
  type ReviewedOutput,
} from "./reviewer.ts";
