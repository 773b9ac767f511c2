/** What a role can be asked, by kind. */
export type RoleHandlers = Record<string, (input: unknown) => Promise<unknown>>;

interface RoleQuestion {
  id: number;
  kind: string;
  input: unknown;
}

/**
 * The child's side of a BenchProcess: says that it is ready, then answers questions until the harness goes away.
 * @param close - releases connections; called on SIGTERM
 */
export function serveRole(handlers: RoleHandlers, close: () => Promise<void>): void {
  process.on("message", async ({ id, kind, input }: RoleQuestion) => {
    try {
      const handler = handlers[kind];
      if (!handler) throw new Error(`unknown question ${kind}`);
      process.send?.({ id, answer: await handler(input) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.once("disconnect", () => process.exit(0));
  process.once("SIGTERM", () => void close().finally(() => process.exit(0)));
  process.send?.({ ready: true });
}

/** Positional arguments of a role. @throws Error when one is missing */
export function roleArguments(count: number): string[] {
  const given = process.argv.slice(2);
  if (given.length !== count) throw new Error(`expected ${count} arguments, got ${given.length}`);
  return given;
}
