import type { JsonValue } from "@bufbuild/protobuf";
import {
  ApprovalState,
  ApproveJobResponseSchema,
  RejectJobResponseSchema,
} from "@cordum/proto/cordum/v1/approval_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "./control-command.ts";
import { votedLine } from "./lib/approval-view.ts";
import { toRestJson } from "./lib/json.ts";

/** Flags of commands that agree or refuse. */
export const voteFlags = {
  reason: Flags.string({ char: "m", summary: "Why, for the record.", default: "" }),
  note: Flags.string({ summary: "A longer remark for the record.", default: "" }),
};

interface Vote {
  jobId: string;
  reason: string;
  note: string;
}

/** Base of the commands that decide an approval. */
export abstract class VoteCommand extends ControlCommand {
  protected async approve(vote: Vote): Promise<JsonValue> {
    const { approvals } = await this.connect();
    const answer = await approvals.approveJob(vote, this.callOptions);
    this.print(votedLine(vote.jobId, answer.approval, ApprovalState.APPROVED));
    return toRestJson(ApproveJobResponseSchema, answer);
  }

  protected async reject(vote: Vote): Promise<JsonValue> {
    const { approvals } = await this.connect();
    const answer = await approvals.rejectJob(vote, this.callOptions);
    this.print(votedLine(vote.jobId, answer.approval, ApprovalState.REJECTED));
    return toRestJson(RejectJobResponseSchema, answer);
  }
}
