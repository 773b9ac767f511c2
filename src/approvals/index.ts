export { type Approvals, createApprovals, transitionOf } from "./approvals.ts";
export { grantedRecord } from "./granted.ts";
export { type Approval, encodeTerms, expiryUnder } from "./model.ts";
export { type ApprovalReader, type ApprovalRow, createApprovalReader } from "./reader.ts";
export { covers, type Replan, replan, stillCovers, termsOf } from "./replan.ts";
export { approverOf } from "./requester.ts";
export { type ApprovalServiceDeps, createApprovalService } from "./service.ts";
export { countDecided } from "./tally.ts";
export { holdsOf, isRequester, type Requester, voterOf } from "./voting.ts";
