import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { encodePacket, withSignature } from "./packet.ts";
import { createPacketSigner, parseSenderKey, type SignatureMode } from "./signatures.ts";

const ecdsa = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const ed25519 = generateKeyPairSync("ed25519");

const env = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`key-${index}`, `value-${index}`]));

function packetOf(senderId: string): Uint8Array {
  const payload = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId: "job-1", topic: "job.test", env }));
  return encodePacket({ traceId: "t", senderId, kind: "jobRequest", payload, createdAtMs: 1_700_000_000_000 });
}

function verifier(mode: SignatureMode, keys: Record<string, KeyObject> = { alice: ecdsa.publicKey }) {
  return createPacketSigner({ mode, senderKeys: new Map(Object.entries(keys)) });
}

describe.each([
  ["ECDSA P-256", ecdsa],
  ["Ed25519", ed25519],
])("a signature with %s", (_, { privateKey, publicKey }) => {
  const sealed = createPacketSigner({ mode: "required", signingKey: privateKey }).seal(packetOf("alice"));

  it("is accepted over the bytes as they are on the wire, with eight map entries", () => {
    expect(verifier("required", { alice: publicKey }).refusal(sealed)).toBeUndefined();
  });

  it("is refused when one bit of the packet differs", () => {
    const changed = Buffer.from(sealed);
    const at = changed.indexOf("value-3");
    changed[at] = (changed[at] ?? 0) ^ 1;

    expect(verifier("verify", { alice: publicKey }).refusal(changed)).toContain("does not match");
  });

  it("is refused when it is another sender's", () => {
    expect(verifier("required", { bob: publicKey }).refusal(sealed)).toContain('no public key for sender "alice"');
    const other = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    expect(verifier("required", { alice: other.publicKey }).refusal(sealed)).toContain("does not match");
  });
});

describe("packets of other libraries", () => {
  it("67: one signed by Python, signature between the other fields, is valid", () => {
    const packet = packetOf("alice");
    const signature = sign("sha256", packet, ecdsa.privateKey);
    const field = Buffer.concat([Uint8Array.of(0x72, signature.length), signature]);
    const at = Buffer.from(packet).indexOf(Uint8Array.of(0x52)); // before the payload

    const sealed = Buffer.concat([packet.subarray(0, at), field, packet.subarray(at)]);

    expect(verifier("required").refusal(sealed)).toBeUndefined();
  });

  it("68: one signed by the Node library, over an empty signature field in its place, is valid", () => {
    const packet = packetOf("alice");
    const signature = sign("sha256", Buffer.concat([packet, Uint8Array.of(0x72, 0x00)]), ecdsa.privateKey);

    expect(verifier("required").refusal(withSignature(packet, signature))).toBeUndefined();
  });

  it("68: the empty field counts only in the place of the signature", () => {
    const packet = packetOf("alice");
    const signature = sign("sha256", Buffer.concat([Uint8Array.of(0x72, 0x00), packet]), ecdsa.privateKey);

    expect(verifier("required").refusal(withSignature(packet, signature))).toContain("does not match");
  });
});

describe("what is refused", () => {
  it("69: an empty sender with any signature", () => {
    const forged = withSignature(packetOf(""), Uint8Array.of(1, 2, 3));

    for (const mode of ["verify", "required"] as const) {
      expect(verifier(mode).refusal(forged)).toContain('no public key for sender ""');
    }
  });

  it("a signature that is no signature", () => {
    for (const signature of [Uint8Array.of(0), Buffer.alloc(64, 7), Buffer.alloc(300, 0x30)]) {
      expect(verifier("verify").refusal(withSignature(packetOf("alice"), signature))).toContain("does not match");
    }
  });

  it("an unsigned packet, when signatures are required; also one with an empty signature field", () => {
    const packet = packetOf("alice");
    const empty = Buffer.concat([packet, Uint8Array.of(0x72, 0x00)]);

    for (const unsigned of [packet, empty]) {
      expect(verifier("required").refusal(unsigned)).toBe('unsigned packet of "alice"');
      expect(verifier("verify").refusal(unsigned)).toBeUndefined();
      expect(verifier("off").refusal(unsigned)).toBeUndefined();
    }
  });

  it("bytes that are no packet, without an error being thrown", () => {
    for (const mode of ["verify", "required"] as const) {
      expect(verifier(mode).refusal(Uint8Array.of(0xff, 0xfe))).toBe("not a packet");
    }
  });
});

describe("seal()", () => {
  it("leaves packets as they are without a key, or with signatures off", () => {
    const packet = packetOf("alice");

    expect(createPacketSigner({ mode: "required" }).seal(packet)).toBe(packet);
    expect(createPacketSigner({ mode: "off", signingKey: ecdsa.privateKey }).seal(packet)).toBe(packet);
  });
});

describe("parseSenderKey()", () => {
  const pem = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();

  it("reads P-256 and Ed25519 keys", () => {
    expect(parseSenderKey(pem(ecdsa.publicKey), "a.pem").asymmetricKeyType).toBe("ec");
    expect(parseSenderKey(pem(ed25519.publicKey), "b.pem").asymmetricKeyType).toBe("ed25519");
  });

  it("names the file of a key that cannot sign packets", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" });

    expect(() => parseSenderKey(pem(rsa.publicKey), "rsa.pem")).toThrow(/^rsa\.pem: expected a P-256 or Ed25519 key/);
    expect(() => parseSenderKey(pem(p384.publicKey), "p384.pem")).toThrow(/^p384\.pem: expected/);
    expect(() => parseSenderKey("hello", "x.pem")).toThrow("x.pem: not a PEM public key");
  });
});
