import { setTimeout as sleep } from "node:timers/promises";
import { AckPolicy, type JsMsg } from "@nats-io/jetstream";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { type Bus, openBus } from "./connect.ts";
import { type BusConsumer, leaveUnsettled, type Outcome, settle, startConsumer } from "./consume.ts";
import { streams } from "./streams.ts";

const { name: stream, subject } = streams.submit;
let servers: TestServers;
let bus: Bus;
const consumers: BusConsumer[] = [];

beforeAll(async () => {
  servers = await startServers();
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", replicas: 1, maxAgeMs: 3_600_000, log });
});
afterAll(async () => {
  for (const consumer of consumers) await consumer.stop();
  await bus.close();
  await servers.stop();
});

/** Consumes with an outcome for each text, and keeps what arrived. */
async function consume(outcomeOf: (text: string) => Outcome = () => ({ kind: "done" })) {
  const arrived: string[] = [];
  const onMessage = (message: JsMsg) => {
    const text = message.string();
    arrived.push(text);
    settle(message, outcomeOf(text));
  };
  const consumer = await startConsumer(bus, { stream, durable: "test", maxInFlight: 100, onMessage });
  consumers.push(consumer);
  return { arrived, consumer };
}

async function stopAll(): Promise<void> {
  for (const consumer of consumers.splice(0)) await consumer.stop();
  await bus.ensureStreams();
  await bus.manager.streams.purge(stream);
}

async function left(): Promise<number> {
  return (await bus.manager.streams.info(stream)).state.messages;
}

describe("an outcome", () => {
  it("done and poison take the message out of the stream, at once and for good", async () => {
    const { arrived } = await consume((text) =>
      text === "bad" ? { kind: "poison", reason: "why" } : { kind: "done" },
    );

    for (const text of ["good", "bad"]) await bus.jetstream.publish(subject, text);

    await until("the stream to be empty", async () => (await left()) === 0);
    expect(arrived).toEqual(["good", "bad"]);
    await stopAll();
  });

  it("retry delivers the message again after its delay", async () => {
    const times: number[] = [];
    const { arrived } = await consume(() => {
      times.push(performance.now());
      return times.length < 3 ? { kind: "retry", afterMs: 100 } : { kind: "done" };
    });

    await bus.jetstream.publish(subject, "again");

    await until("the stream to be empty", async () => (await left()) === 0);
    expect(arrived).toEqual(["again", "again", "again"]);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(90);
    await stopAll();
  });
});

describe("a consumer", () => {
  it("shares the messages with the others of its name", async () => {
    const both = [await consume(), await consume()];

    for (let n = 0; n < 50; n++) await bus.jetstream.publish(subject, `m${n}`);

    await until("all to arrive", () => both.flatMap(({ arrived }) => arrived).length >= 50);
    expect(new Set(both.flatMap(({ arrived }) => arrived)).size).toBe(50);
    await stopAll();
  });

  it("opens stream and consumer again when the stream was deleted under load", async () => {
    const { arrived, consumer } = await consume();
    let sent = 0;
    const timer = setInterval(() => bus.connection.publish(subject, `m${sent++}`), 2);
    await until("some to arrive", () => arrived.length > 20);

    await bus.manager.streams.delete(stream);

    const before = arrived.length;
    await until("more to arrive", () => arrived.length > before + 20).finally(() => clearInterval(timer));
    expect(consumer.problem()).toBeNull();
    await stopAll();
  });

  it("keeps a message whose outcome takes longer than the server waits, and gives up what it cannot settle", {
    timeout: 40_000,
  }, async () => {
    const held: JsMsg[] = [];
    const onMessage = (message: JsMsg) => void held.push(message);
    for (let n = 0; n < 2; n++) {
      consumers.push(await startConsumer(bus, { stream, durable: "test", maxInFlight: 10, onMessage }));
    }
    await bus.jetstream.publish(subject, "slow");
    const first = await until("the message", () => held[0]);

    await sleep(13_000);
    expect(held).toHaveLength(1);
    leaveUnsettled(first);

    const again = await until("it to come again", () => held[1], 15_000);
    settle(again, { kind: "done" });
    await until("the stream to be empty", async () => (await left()) === 0);
    await stopAll();
  });

  it("changes a durable that was made with other limits", async () => {
    await bus.manager.consumers.delete(stream, "test");
    await bus.manager.consumers.add(stream, { durable_name: "test", ack_policy: AckPolicy.Explicit, max_deliver: 9 });

    await consume();

    expect((await bus.manager.consumers.info(stream, "test")).config.max_deliver).toBe(-1);
    await stopAll();
  });

  it("goes on where it was when the consumer was deleted under load", async () => {
    const { arrived, consumer } = await consume();
    for (let n = 0; n < 20; n++) await bus.jetstream.publish(subject, `m${n}`);

    await bus.manager.consumers.delete(stream, "test");
    for (let n = 20; n < 40; n++) await bus.jetstream.publish(subject, `m${n}`);

    await until("all to arrive", () => new Set(arrived).size === 40);
    expect(consumer.problem()).toBeNull();
    await stopAll();
  });

  it("takes nothing more once it is stopped, and what it took can still be settled", async () => {
    const held: JsMsg[] = [];
    const onMessage = (message: JsMsg) => void held.push(message);
    const consumer = await startConsumer(bus, { stream, durable: "test", maxInFlight: 10, onMessage });
    await bus.jetstream.publish(subject, "first");
    await until("the first", () => held.length === 1);

    await consumer.stop();
    await bus.connection.flush();
    await bus.jetstream.publish(subject, "second");
    for (const message of held) settle(message, { kind: "done" });
    const { arrived } = await consume();

    await until("the stream to be empty", async () => (await left()) === 0);
    expect(held).toHaveLength(1);
    expect(arrived).toEqual(["second"]);
    await stopAll();
  });
});
