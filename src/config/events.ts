import { type Bus, subjects } from "../bus/index.ts";
import { isMap } from "./json.ts";

/** Tells every process that a document has changed. Lost ones are made up for by age, see `cache.ts`. */
export function publishChange(bus: Bus, name: string, revision: number): void {
  try {
    bus.connection.publish(subjects.configChanged, JSON.stringify({ name, revision }));
  } catch (error) {
    bus.log.warn({ err: error, document: name }, "change of configuration not announced, others will notice by age");
  }
}

/**
 * Hears of changes.
 * @param listener - gets the name of the document, or undefined when any may have changed
 */
export function onChanges(bus: Bus, listener: (name: string | undefined) => void): () => void {
  const subscription = bus.connection.subscribe(subjects.configChanged, {
    callback: (_error, message) => listener(nameIn(message?.data)),
  });
  void (async () => {
    for await (const { type } of bus.connection.status()) {
      if (type === "reconnect") listener(undefined); // what was said meanwhile was not heard
      if (subscription.isClosed()) return;
    }
  })();
  return () => subscription.unsubscribe();
}

function nameIn(bytes: Uint8Array | undefined): string | undefined {
  try {
    const event: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isMap(event) && typeof event.name === "string" ? event.name : undefined;
  } catch {
    return undefined; // whoever said that: looking everything up again is never wrong
  }
}
