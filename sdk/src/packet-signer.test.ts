import { generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { describe, expect, it } from "vitest";
import { createPacketSigner } from "./packet-signer.ts";

const pem = (key: KeyObject, type: "pkcs8" | "spki") => String(key.export({ format: "pem", type }));
const p256 = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const ed25519 = generateKeyPairSync("ed25519");
const packet = toBinary(BusPacketSchema, create(BusPacketSchema, { senderId: "w-1", traceId: "t" }));

describe.each([
  ["P-256", p256, "sha256"],
  ["Ed25519", ed25519, null],
] as const)("a signer with %s", (_, { privateKey, publicKey }, digest) => {
  const key = pem(privateKey, "pkcs8");
  const senderKeys = { "w-1": pem(publicKey, "spki") };

  it("signs the bytes before the signature, as any library can verify", () => {
    const sealed = createPacketSigner({ mode: "verify", key }, {}).seal(packet);

    const { signature } = fromBinary(BusPacketSchema, sealed);
    expect(verify(digest, sealed.subarray(0, packet.length), publicKey, signature)).toBe(true);
  });

  it("accepts its own packets and refuses changed ones", () => {
    const signer = createPacketSigner({ mode: "required", key, senderKeys }, {});
    const sealed = Buffer.from(signer.seal(packet));
    expect(signer.refusal(sealed)).toBeUndefined();

    sealed[sealed.indexOf("t")] = "u".charCodeAt(0);
    expect(signer.refusal(sealed)).toBe('signature of "w-1" does not match the packet');
  });
});

describe("createPacketSigner()", () => {
  it("is off unless asked for", () => {
    const signer = createPacketSigner({}, {});

    expect(signer.seal(packet)).toBe(packet);
    expect(signer.refusal(Uint8Array.of(1))).toBeUndefined();
  });

  it("lets unsigned packets pass by verify, and not by required", () => {
    expect(createPacketSigner({ mode: "verify" }, {}).refusal(packet)).toBeUndefined();
    expect(createPacketSigner({ mode: "required" }, {}).refusal(packet)).toBe('unsigned packet of "w-1"');
  });

  it("knows no stranger", () => {
    const sealed = createPacketSigner({ mode: "verify", key: pem(p256.privateKey, "pkcs8") }, {}).seal(packet);

    expect(createPacketSigner({ mode: "verify" }, {}).refusal(sealed)).toBe('no public key for sender "w-1"');
  });

  it("reads the environment of the platform", () => {
    const folder = mkdtempSync(join(tmpdir(), "cordum-sdk-"));
    const [keyFile, publicFile] = [join(folder, "own.key"), join(folder, "w%2D1.pem")];
    writeFileSync(keyFile, pem(ed25519.privateKey, "pkcs8"));
    writeFileSync(publicFile, pem(ed25519.publicKey, "spki"));
    const env = {
      CORDUM_SIGNATURES: "required",
      CORDUM_SIGNATURE_KEY: keyFile,
      CORDUM_SIGNATURE_PUBLIC_KEYS: folder,
    };

    const signer = createPacketSigner({}, env);

    expect(signer.refusal(signer.seal(packet))).toBeUndefined();
    rmSync(folder, { recursive: true });
  });

  it.each([
    ["an unknown mode", { mode: "on" as never }, /signatures "on": expected off, verify or required/],
    ["no key", { mode: "verify", key: "x" }, /the signing key is not a PEM key/],
    ["no public key", { mode: "verify", senderKeys: { a: "x" } }, /the public key of "a" is not a PEM key/],
  ] as const)("refuses %s", (_, options, message) => {
    expect(() => createPacketSigner(options, {})).toThrow(message);
  });
});
