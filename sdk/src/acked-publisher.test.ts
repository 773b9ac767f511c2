import { headers } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AckedPublisher } from "./acked-publisher.ts";

const log = { debug: () => {}, info: () => {}, warn: vi.fn(), error: () => {} };
const message = { subject: "sys.job.result", data: new Uint8Array(), headers: headers() };
const stored = Buffer.from('{"stream":"CORDUM_RESULT","seq":1}');
const empty = new Uint8Array();

let sent: string[];
let publisher: AckedPublisher;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  log.warn.mockClear();
  publisher = new AckedPublisher({ log, now: () => Date.now(), send: (_, token) => sent.push(token) });
});

afterEach(() => {
  publisher.close(new Error("over"));
  vi.useRealTimers();
});

describe("AckedPublisher", () => {
  it("resolves when the stream has stored the message", async () => {
    publisher.connected();
    const published = publisher.publish(message);

    publisher.answered("0", stored, false);

    await expect(published).resolves.toBeUndefined();
    expect(publisher.pending).toBe(0);
  });

  it("sends nothing while disconnected, and everything that is open once connected", () => {
    void publisher.publish(message).catch(() => {});
    void publisher.publish(message).catch(() => {});
    expect(sent).toEqual([]);

    publisher.connected();
    expect(sent).toEqual(["0", "1"]);

    publisher.answered("0", stored, false);
    publisher.disconnected();
    publisher.connected();
    expect(sent).toEqual(["0", "1", "1"]);
  });

  it("sends again, ever less often, while no stream takes the message", async () => {
    const sentAtMs: number[] = [];
    const startMs = Date.now();
    const send = (_: unknown, token: string) => {
      sentAtMs.push(Date.now() - startMs);
      queueMicrotask(() => publisher.answered(token, empty, true));
    };
    publisher = new AckedPublisher({ log, now: () => Date.now(), send });
    publisher.connected();
    void publisher.publish(message).catch(() => {});

    await vi.advanceTimersByTimeAsync(60_000);

    expect(sentAtMs.slice(0, 5)).toEqual([0, 50, 150, 350, 750]);
    const gapsMs = sentAtMs.slice(1).map((atMs, i) => atMs - (sentAtMs[i] ?? 0));
    expect(Math.max(...gapsMs)).toBe(5_000);
    expect(log.warn.mock.calls.length).toBeLessThan(8);
  });

  it("sends again when the stream refuses, when the answer is none, and when nobody answers", async () => {
    publisher.connected();
    void publisher.publish(message).catch(() => {});

    publisher.answered("0", Buffer.from('{"error":{"code":503,"description":"no space"}}'), false);
    await vi.advanceTimersByTimeAsync(100);
    publisher.answered("0", Buffer.from("hello"), false);
    await vi.advanceTimersByTimeAsync(200);
    expect(sent).toHaveLength(3);

    await vi.advanceTimersByTimeAsync(3_100);
    expect(sent).toHaveLength(4);
  });

  it("rejects what is open when it is closed, and what comes later", async () => {
    const published = publisher.publish(message);

    publisher.close(new Error("closed"));

    await expect(published).rejects.toThrow("closed");
    await expect(publisher.publish(message)).rejects.toThrow("closed");
  });
});
