import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { BenchEnvironment } from "./environment.ts";
import type { BenchOptions } from "./options.ts";
import type { Check } from "./threshold.ts";

/** What one benchmark found: for people, for programs, and against its thresholds. */
export interface Report {
  name: string;
  /** Tables. */
  text: string;
  /** The measured values, plain JSON. */
  data: unknown;
  checks: Check[];
}

const folder = join(import.meta.dirname, "results");

/** Writes one file per invocation: `<time>-<names>.json`. @returns what was written, and where */
export async function writeResults(
  environment: BenchEnvironment,
  options: BenchOptions,
  reports: readonly Report[],
): Promise<{ json: string; path: string }> {
  const { json: _, ...settings } = options;
  const results = Object.fromEntries(reports.map(({ name, data, checks }) => [name, { data, checks }]));
  const json = `${JSON.stringify({ ...environment, options: settings, results }, null, 2)}\n`;
  await mkdir(folder, { recursive: true });
  const time = environment.startedAt.replaceAll(":", "").replace(/\..*/, "");
  const path = join(folder, `${time}-${reports.map(({ name }) => name).join("-")}.json`);
  await writeFile(path, json);
  return { json, path: relative(process.cwd(), path) };
}
