import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, openBus } from "../bus/index.ts";
import { type Answer, type Handshakes, openHandshakes } from "./handshake.ts";

let servers: TestServers;
let bus: Bus;
let handshakes: Handshakes;

beforeAll(async () => {
  servers = await startServers();
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", replicas: 1, maxAgeMs: 3_600_000, log });
  handshakes = openHandshakes(bus, { acceptTimeoutMs: 150, outputTtlMs: 90_000 });
});
afterAll(async () => {
  handshakes.close();
  await bus.close();
  await servers.stop();
});

function ask(subject: string, terms = { attempt: 1, leaseMs: 0, traceparent: "" }): Promise<Answer> {
  return new Promise((resolve) => handshakes.ask(subject, new Uint8Array(0), terms, resolve));
}

describe("ask()", () => {
  it.each(["accepted", "busy", "draining"] as const)("gives the worker's word: %s", async (word) => {
    const subscription = bus.connection.subscribe(`w.${word}`, {
      callback: (_, message) => void message.respond(word),
    });

    expect(await ask(`w.${word}`)).toBe(word);
    subscription.unsubscribe();
  });

  it("tells how long the output is kept, when that is not the usual day", async () => {
    let told: string | undefined;
    const subscription = bus.connection.subscribe("w.ttl", {
      callback: (_, message) => {
        told = message.headers?.get("Cordum-Output-Ttl");
        message.respond("accepted");
      },
    });

    await ask("w.ttl");

    expect(told).toBe("90000");
    subscription.unsubscribe();
  });

  it("takes any other word for accepted: the worker has the packet", async () => {
    const subscription = bus.connection.subscribe("w.other", { callback: (_, message) => void message.respond("hm") });

    expect(await ask("w.other")).toBe("accepted");
    subscription.unsubscribe();
  });

  it("says nobody within milliseconds when nobody listens", async () => {
    const startedMs = performance.now();

    expect(await ask("w.nobody")).toBe("nobody");
    expect(performance.now() - startedMs).toBeLessThan(100);
  });

  it("says silence once the time to answer is over, and ignores a later answer", async () => {
    const answers: Answer[] = [];
    const subscription = bus.connection.subscribe("w.late", {
      callback: (_, message) => void setTimeout(() => message.respond("accepted"), 300),
    });

    handshakes.ask("w.late", new Uint8Array(0), { attempt: 1, leaseMs: 0, traceparent: "" }, (answer) =>
      answers.push(answer),
    );
    await new Promise((resolve) => setTimeout(resolve, 450));

    expect(answers).toEqual(["silence"]);
    subscription.unsubscribe();
  });

  it("tells the attempt, and the lease to those that keep one", async () => {
    const seen: (string | undefined)[][] = [];
    const subscription = bus.connection.subscribe("w.terms", {
      callback: (_, message) => {
        seen.push([message.headers?.get("Cordum-Attempt"), message.headers?.get("Cordum-Lease")]);
        message.respond("accepted");
      },
    });

    await ask("w.terms", { attempt: 3, leaseMs: 30_000, traceparent: "" });
    await ask("w.terms", { attempt: 1, leaseMs: 0, traceparent: "" });

    expect(seen).toEqual([
      ["3", "30000"],
      ["1", ""],
    ]);
    subscription.unsubscribe();
  });
});
