import type { JsonValue } from "@bufbuild/protobuf";
import type { Run } from "@cordum/proto/cordum/v1/run_pb.js";
import { ControlCommand } from "./control-command.ts";
import type { Clients } from "./lib/connect.ts";
import { runChangeLines } from "./lib/run-changes.ts";
import { followRun, type RunLook, waitForRun } from "./lib/run-follow.ts";
import { planColumns, planJson, planRows, planSummary } from "./lib/run-plan.ts";
import { readDryRun } from "./lib/run-plan-read.ts";
import { getRun, graphOfRun } from "./lib/run-read.ts";
import { createScreen } from "./lib/run-screen.ts";
import { exitCodeOfRun, runStatusName } from "./lib/run-status.ts";
import { runErrorText } from "./lib/run-step-view.ts";
import { treeLines } from "./lib/run-tree.ts";
import { runJson, runOutcomeLines } from "./lib/run-view.ts";
import { createTable, oneLine } from "./lib/text.ts";
import type { GraphStep } from "./lib/workflow-graph.ts";

/** How long a dry run may take where --timeout does not say: it executes nothing. */
const dryRunMs = 60_000;

/** What whoever begins a run wants to see of it. */
interface BegunOptions {
  "dry-run"?: boolean | undefined;
  wait?: boolean | undefined;
  follow?: boolean | undefined;
}

/** Base of the commands that begin a run, or wait for one. */
export abstract class RunCommand extends ControlCommand {
  /** Shows what was asked for of a run that has just begun: its plan, its way, what became of it, or its id alone. */
  protected async showBegun(clients: Clients, runId: string, options: BegunOptions): Promise<JsonValue | undefined> {
    if (options["dry-run"]) return this.showPlan(clients, runId);
    if (options.follow) return this.follow(clients, runId);
    if (options.wait) return this.waitFor(clients, runId);
    this.print(runId);
    return { run_id: runId };
  }

  /** Waits until a run has ended, shows what became of it, and ends with its code. */
  protected async waitFor(clients: Clients, runId: string): Promise<JsonValue> {
    const run = await waitForRun(clients, runId, {
      timeoutMs: this.timeoutMs,
      note: (line) => this.note(line),
    });
    this.print(runOutcomeLines(run));
    this.endWith(exitCodeOfRun(run));
    return runJson(run);
  }

  /** Shows each change of a run: as a line, as JSON, or on a terminal as a tree that is drawn anew. */
  protected async follow(clients: Clients, runId: string): Promise<undefined> {
    const { note, show } = await this.#display(clients, runId);
    for await (const look of followRun(clients, runId, { timeoutMs: this.timeoutMs, note })) {
      show(look);
      this.endWith(exitCodeOfRun(look.run));
    }
  }

  /** Waits until a dry run has ended, and shows what each step would do and how policy would decide. */
  protected async showPlan(clients: Clients, runId: string): Promise<JsonValue> {
    const timeoutMs = this.timeoutMs ?? dryRunMs;
    const run = await waitForRun(clients, runId, { timeoutMs });
    const dryRun = await readDryRun(clients, run, this.callOptions);
    const rows = planRows(dryRun);
    const error = runErrorText(run.error);
    this.print([
      `dry run ${run.id} of ${run.workflowId}: nothing was executed`,
      "",
      ...createTable(planColumns)(rows),
      "",
      planSummary(rows, dryRun),
      ...(error === "" ? [] : [`the run would end as ${runStatusName(run.status)}: ${oneLine(error)}`]),
    ]);
    this.endWith(exitCodeOfRun(run));
    return { run_id: runId, steps: planJson(rows), run: runJson(run) };
  }

  async #display(clients: Clients, runId: string): Promise<RunDisplay> {
    const note = (line: string) => this.note(line);
    if (this.jsonEnabled()) return { note, show: ({ run }) => this.printJsonLine(runJson(run)) };
    if (process.stdout.isTTY) {
      const started = await getRun(clients.runs, runId, this.callOptions);
      return createTreeDisplay(await graphOfRun(clients.workflows, started, this.callOptions));
    }
    let last: Run | undefined;
    const show = (look: RunLook) => {
      this.print(runChangeLines(last, look));
      last = look.run;
    };
    return { note, show };
  }
}

interface RunDisplay {
  show: (look: RunLook) => void;
  note: (line: string) => void;
}

/** The run as a tree that is drawn anew at each change, what is to be remarked below it. */
function createTreeDisplay(graph: GraphStep[]): RunDisplay {
  const draw = createScreen({ write: (text) => process.stdout.write(text), size: () => process.stdout });
  const none = new Map<string, never>(); // a look at a run that is followed stays one call
  const nothing = { nested: none, graphs: none, undone: none, waits: none, failed: none };
  let remarks: string[] = [];
  let last: Run | undefined;
  const redraw = (run: Run) => {
    const below = remarks.length === 0 ? [] : ["", ...remarks];
    draw([...runOutcomeLines(run), "", ...treeLines({ run, graph, ...nothing }), ...below]);
  };
  const show = ({ run }: RunLook) => {
    if (last?.status !== run.status) remarks = []; // what it waited for has happened
    last = run;
    redraw(run);
  };
  const note = (line: string) => {
    remarks.push(line);
    if (last) redraw(last);
  };
  return { note, show };
}
