import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  encodePacket,
  type PayloadKind,
  parsePacket,
  payloadField,
  withoutSignature,
  withSignature,
} from "./packet.ts";

const request = create(JobRequestSchema, { jobId: "job-1", topic: "job.test", tenantId: "default" });
const payload = toBinary(JobRequestSchema, request);
const parts = { traceId: "t", senderId: "s", kind: "jobRequest", payload, createdAtMs: 1_700_000_000_123 } as const;

describe("encodePacket()", () => {
  it("writes what any protobuf library reads as the same packet", () => {
    expect(fromBinary(BusPacketSchema, encodePacket(parts))).toEqual(
      create(BusPacketSchema, {
        traceId: "t",
        senderId: "s",
        protocolVersion: 1,
        createdAt: timestampFromMs(1_700_000_000_123),
        payload: { case: "jobRequest", value: request },
      }),
    );
  });

  it("writes the bytes that a library with ascending fields writes", () => {
    expect(Buffer.from(encodePacket(parts)).toString("hex")).toBe(
      Buffer.from(toBinary(BusPacketSchema, fromBinary(BusPacketSchema, encodePacket(parts)))).toString("hex"),
    );
    expect(Buffer.from(payload).toString("hex")).toBe("0a056a6f622d3112086a6f622e746573746a0764656661756c74");
  });

  it("leaves out empty ids and whole-second nanos", () => {
    const bytes = encodePacket({ ...parts, traceId: "", senderId: "", createdAtMs: 1_000 });

    expect(Buffer.from(bytes).toString("hex").startsWith("1a02080120015")).toBe(true);
  });
});

describe("parsePacket()", () => {
  it("reads what encodePacket() writes, for any ids, payload and kind", () => {
    const kind = fc.constantFrom(...(Object.keys(payloadField) as PayloadKind[]));
    fc.assert(
      fc.property(fc.string(), fc.string(), kind, fc.uint8Array(), (traceId, senderId, kind, payload) => {
        const packet = parsePacket(encodePacket({ traceId, senderId, kind, payload, createdAtMs: 5 }));

        expect(packet).toMatchObject({ traceId, senderId, kind, protocolVersion: 1 });
        expect(new Uint8Array(packet.payload)).toEqual(payload);
      }),
    );
  });

  it("reads fields in any order, as Go writes them: payload last, signature before it", () => {
    const signature = Uint8Array.of(0x72, 2, 9, 9);
    const bytes = encodePacket(parts);
    const at = Buffer.from(bytes).indexOf(Buffer.from(payload)) - 2;
    const goOrder = Buffer.concat([bytes.subarray(0, at), signature, bytes.subarray(at)]);

    expect(parsePacket(goOrder)).toMatchObject({ kind: "jobRequest", traceId: "t" });
    expect([...parsePacket(goOrder).signature]).toEqual([9, 9]);
  });

  it("ignores fields of later protocols, of every wire type", () => {
    const unknown = [0xf8, 0x07, 1, 0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8, 0xfa, 0x07, 1, 0, 0xfd, 0x07, 1, 2, 3, 4];

    expect(parsePacket(Buffer.concat([Uint8Array.from(unknown), encodePacket(parts)]))).toMatchObject({
      kind: "jobRequest",
    });
  });

  it("gives an empty packet for no bytes", () => {
    expect(parsePacket(new Uint8Array(0))).toMatchObject({ kind: undefined, traceId: "", senderId: "" });
  });

  it("throws for cut packets, and never for a reason other than an Error", () => {
    const bytes = encodePacket(parts);
    expect(() => parsePacket(bytes.subarray(0, bytes.length - 1))).toThrow();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
        try {
          parsePacket(garbage);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});

describe("withoutSignature()", () => {
  it("gives back the bytes that were signed, wherever the signature stands", () => {
    const bytes = encodePacket(parts);
    const field = Uint8Array.of(0x72, 3, 1, 2, 3);

    expect(Buffer.compare(withoutSignature(withSignature(bytes, Uint8Array.of(1, 2, 3))), bytes)).toBe(0);
    expect(Buffer.compare(withoutSignature(Buffer.concat([field, bytes])), bytes)).toBe(0);
    expect(withoutSignature(bytes)).toBe(bytes);
  });
});
