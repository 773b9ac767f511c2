import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";

/** `verify` accepts unsigned packets and refuses wrong signatures; `required` refuses unsigned ones too. */
export type SignatureMode = "off" | "verify" | "required";

/** How the worker signs what it sends and judges what it gets. PEM texts; P-256 or Ed25519. */
export interface SignatureOptions {
  /** Default: env CORDUM_SIGNATURES, else `off`. */
  mode?: SignatureMode;
  /** Private key, PKCS#8. Default: the file in env CORDUM_SIGNATURE_KEY. Without one nothing is signed. */
  key?: string;
  /**
   * Public keys by sender id; the control plane sends as `cordum-scheduler` and `cordum-gateway`. Default: the files
   * `<sender id, percent-encoded>.pem` of the folder in env CORDUM_SIGNATURE_PUBLIC_KEYS.
   */
  senderKeys?: Readonly<Record<string, string>>;
}

export interface PacketSigner {
  /** The packet with a signature over its exact bytes; unchanged without a key. */
  seal(packet: Uint8Array): Uint8Array;
  /** Why the packet must be dropped; undefined when it may pass. */
  refusal(packet: Uint8Array): string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const modes: readonly string[] = ["off", "verify", "required"] satisfies SignatureMode[];
const signatureField = BusPacketSchema.field.signature.number;

/** @throws TypeError that names what cannot be used; errors of the file system */
export function createPacketSigner(options: SignatureOptions = {}, env: Environment = process.env): PacketSigner {
  const mode = options.mode ?? (env.CORDUM_SIGNATURES || "off");
  if (!modes.includes(mode)) throw new TypeError(`signatures "${mode}": expected off, verify or required`);
  if (mode === "off") return { seal: (packet) => packet, refusal: () => undefined };
  const pem = options.key ?? (env.CORDUM_SIGNATURE_KEY && readFileSync(env.CORDUM_SIGNATURE_KEY, "utf8"));
  const key = pem ? toKey(pem, createPrivateKey, "the signing key") : undefined;
  const senderKeys = new Map<string, KeyObject>();
  for (const [sender, text] of Object.entries(options.senderKeys ?? readSenderKeys(env))) {
    senderKeys.set(sender, toKey(text, createPublicKey, `the public key of "${sender}"`));
  }
  return {
    seal(packet) {
      if (key === undefined) return packet;
      const field = new BinaryWriter().tag(signatureField, WireType.LengthDelimited);
      return Buffer.concat([packet, field.bytes(sign(digestOf(key), packet, key)).finish()]);
    },
    refusal(packet) {
      const { senderId, signature } = fromBinary(BusPacketSchema, packet);
      if (signature.length === 0) return mode === "required" ? `unsigned packet of "${senderId}"` : undefined;
      const known = senderKeys.get(senderId);
      if (known === undefined) return `no public key for sender "${senderId}"`;
      const isGood = verify(digestOf(known), withoutSignature(packet), known, signature);
      return isGood ? undefined : `signature of "${senderId}" does not match the packet`;
    },
  };
}

/** The received bytes without the field, never encoded anew: the order of maps differs between languages. */
function withoutSignature(packet: Uint8Array): Uint8Array {
  const reader = new BinaryReader(packet);
  const kept: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wireType] = reader.tag();
    reader.skip(wireType, field);
    if (field !== signatureField) kept.push(packet.subarray(start, reader.pos));
  }
  return Buffer.concat(kept);
}

function digestOf(key: KeyObject): "sha256" | null {
  return key.asymmetricKeyType === "ed25519" ? null : "sha256";
}

function toKey(pem: string, parse: (pem: string) => KeyObject, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = parse(pem);
  } catch (cause) {
    throw new TypeError(`${name} is not a PEM key`, { cause });
  }
  const isP256 = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  if (isP256 || key.asymmetricKeyType === "ed25519") return key;
  throw new TypeError(`${name}: expected P-256 or Ed25519, got ${key.asymmetricKeyType}`);
}

function readSenderKeys({ CORDUM_SIGNATURE_PUBLIC_KEYS: folder }: Environment): Record<string, string> {
  const keys: Record<string, string> = {};
  if (!folder) return keys;
  for (const name of readdirSync(folder)) {
    if (name.endsWith(".pem")) keys[decodeURIComponent(name.slice(0, -4))] = readFileSync(join(folder, name), "utf8");
  }
  return keys;
}
