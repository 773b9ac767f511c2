import type { JsonValue } from "@bufbuild/protobuf";
import { WorkerSchema } from "@cordum/proto/cordum/v1/worker_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { createTable } from "../../lib/text.ts";
import { workerColumns } from "../../lib/worker-view.ts";

export default class WorkerList extends ControlCommand {
  static override summary = "List the workers that are alive.";
  static override examples = ["<%= config.bin %> <%= command.id %> --pool gpu"];
  static override flags = { pool: Flags.string({ summary: "Only workers of this pool." }) };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(WorkerList);
    const clients = await this.connect();
    const { workers } = await clients.workers.listWorkers({ pool: flags.pool ?? "" }, this.callOptions);
    this.print(createTable(workerColumns)(workers));
    return workers.map((worker) => toRestJson(WorkerSchema, worker));
  }
}
