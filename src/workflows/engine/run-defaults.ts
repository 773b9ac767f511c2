import type { Logger } from "pino";
import { parse } from "yaml";
import { type Config, type ConfigDocument, openConfigFile, problemsOf } from "../../config/index.ts";
import type { RunDefaults } from "../core/state.ts";

/** What operators say about runs of a workflow where the definition says nothing. */
export interface RunDefaultsSource {
  of(workflowId: string): RunDefaults | undefined;
  close(): void;
}

interface Row {
  child_timeout_seconds?: number;
  total_timeout_seconds?: number;
  max_retries?: number;
}

type Rows = { [workflowId: string]: Row };

/**
 * Follows the section `workflows` of the timeouts file, and of `system/default`, which is laid over it. A version that is
 * not valid is logged, and the last valid one stays.
 */
export async function openRunDefaults(options: {
  config: Config;
  path: string;
  reloadIntervalMs: number;
  log: Logger;
}): Promise<RunDefaultsSource> {
  const { config, log, reloadIntervalMs } = options;
  const file = await openConfigFile<Rows>({ ...options, parse: parseRows, missing: {} });
  let overlay: Rows = {};
  const accept = (document: ConfigDocument | undefined) => {
    const value = document?.data.timeouts;
    const problems = value === undefined ? [] : problemsOf("timeouts", value, "data.timeouts");
    if (problems.length === 0) overlay = rowsOf(value);
    else log.error({ problems }, "system/default: timeouts ignored, the last good ones stay");
  };
  const stop = await config.followSystem(accept, reloadIntervalMs);
  return {
    of: (workflowId) => toDefaults({ ...own(file.current(), workflowId), ...own(overlay, workflowId) }),
    close: () => {
      stop();
      file.close();
    },
  };
}

function own(rows: Rows, workflowId: string): Row | undefined {
  return Object.hasOwn(rows, workflowId) ? rows[workflowId] : undefined;
}

function parseRows(text: string, path: string): Rows {
  const value = parse(text, { uniqueKeys: true }) ?? {};
  const [problem] = problemsOf("timeouts", value, path);
  if (problem) throw new Error(`${problem.field}: ${problem.description}`);
  return rowsOf(value);
}

function rowsOf(value: unknown): Rows {
  return (value as { workflows?: Rows } | undefined)?.workflows ?? {};
}

function toDefaults(row: Row): RunDefaults | undefined {
  const { child_timeout_seconds: step = 0, total_timeout_seconds: run = 0, max_retries: maxRetries } = row;
  if (step === 0 && run === 0 && maxRetries === undefined) return undefined;
  return {
    ...(run > 0 && { runTimeoutMs: run * 1_000 }),
    ...(step > 0 && { stepTimeoutMs: step * 1_000 }),
    ...(maxRetries !== undefined && { maxRetries }),
  };
}
