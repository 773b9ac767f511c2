import type { BenchProcess } from "./processes.ts";
import type { BenchServers } from "./servers.ts";

/** A system under test, started and ready. */
export interface RunningSystem {
  /** Serves the questions of client-role.ts. */
  client: BenchProcess;
  /** Everything that it runs, the client included, the servers not. */
  processes: BenchProcess[];
}

/** Starts a system on the given servers. The caller stops its processes. */
export type StartSystem = (servers: BenchServers) => Promise<RunningSystem>;

/** Waits until all are ready. When one fails, stops them all and throws. */
export async function whenReady(client: BenchProcess, others: BenchProcess[]): Promise<RunningSystem> {
  const processes = [...others, client];
  try {
    await Promise.all(processes.map((process) => process.ready));
  } catch (error) {
    await Promise.all(processes.map((process) => process.stop()));
    throw error;
  }
  return { client, processes };
}
