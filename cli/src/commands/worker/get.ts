import type { JsonValue } from "@bufbuild/protobuf";
import { WorkerSchema } from "@cordum/proto/cordum/v1/worker_pb.js";
import { Args } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { workerLines } from "../../lib/worker-view.ts";

export default class WorkerGet extends ControlCommand {
  static override summary = "Show one worker.";
  static override examples = ["<%= config.bin %> <%= command.id %> hello-1"];
  static override args = {
    worker_id: Args.string({ description: "Id of the worker.", required: true, ignoreStdin: true }),
  };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(WorkerGet);
    const { workers } = await this.connect();
    const { worker } = await workers.getWorker({ workerId: args.worker_id }, this.callOptions);
    if (worker === undefined)
      throw new CliError(exitCodes.notFound, `no worker ${args.worker_id}`, { code: "not_found" });
    this.print(workerLines(worker));
    return toRestJson(WorkerSchema, worker);
  }
}
