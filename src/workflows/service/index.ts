export { createRunService } from "./run-service.ts";
export { createWorkflowService } from "./workflow-service.ts";
