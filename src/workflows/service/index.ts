export { createRunService, type RunServiceDeps } from "./run-service.ts";
export { createWorkflowService, type WorkflowServiceDeps } from "./workflow-service.ts";
