import { invalidField } from "../errors/index.ts";

/**
 * A memory that a job or a run names must not be that of another job or run: workers would read it for whoever asks.
 * @param field - of the request, for the error
 * @param own - the id that it may have although it looks like one of those
 * @throws DomainError invalid_argument
 */
export function checkMemoryId(field: string, id: string, own: string): void {
  const name = id.trim(); // as the context engine reads it
  if (name === own || !/^(run:|mem:|@)/.test(name)) return;
  throw invalidField(field, "must not begin with run:, mem: or @, which are memories of other runs and jobs");
}
