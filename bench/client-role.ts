import { type LoadPlan, runLoad, runLone, type Submit } from "./load.ts";
import { type RoleHandlers, serveRole } from "./role.ts";

/** The client of a system under test: what the harness asks of it is the same for all. */
export interface BenchClient {
  submit: Submit;
  close(): Promise<void>;
  /** Throws unless every job submitted so far has ended well, as the system itself tells. Default: no check. */
  verify?(): Promise<void>;
}

/** Serves `load`, `lone` and `verify` for a client. */
export function serveClient(client: BenchClient): void {
  const handlers: RoleHandlers = {
    load: (input) => runLoad(client.submit, input as LoadPlan),
    lone: (input) => runLone(client.submit, (input as { jobs: number }).jobs),
    verify: async () => client.verify?.(),
  };
  serveRole(handlers, client.close);
}
