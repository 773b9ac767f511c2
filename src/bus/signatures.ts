import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { DomainError } from "../errors/index.ts";
import { parsePacket, type RawPacket, withoutSignature, withSignature } from "./packet.ts";

/** `verify` accepts unsigned packets and refuses wrong signatures; `required` refuses unsigned ones too. */
export type SignatureMode = "off" | "verify" | "required";

export interface PacketSigner {
  /** The packet with a signature over its exact bytes. Returns it unchanged when no signing key is set. */
  seal(packet: Uint8Array): Uint8Array;
  /** Why the packet must be dropped, or undefined when it may pass. */
  refusal(packet: Uint8Array): string | undefined;
}

export interface SignatureOptions {
  mode: SignatureMode;
  /** P-256 (ECDSA with SHA-256) or Ed25519. Without it nothing is signed. */
  signingKey?: KeyObject;
  /** Public keys by sender id. */
  senderKeys?: ReadonlyMap<string, KeyObject>;
}

/** Signs what leaves and judges what arrives, by the bytes on the wire. */
export function createPacketSigner({ mode, signingKey, senderKeys = new Map() }: SignatureOptions): PacketSigner {
  return {
    seal(packet) {
      if (mode === "off" || !signingKey) return packet;
      return withSignature(packet, sign(digestOf(signingKey), packet, signingKey));
    },
    refusal(packet) {
      if (mode === "off") return undefined;
      const envelope = readEnvelope(packet);
      if (!envelope) return "not a packet";
      const { senderId, signature } = envelope;
      if (signature.length === 0) return mode === "required" ? `unsigned packet of "${senderId}"` : undefined;
      const key = senderKeys.get(senderId);
      if (!key) return `no public key for sender "${senderId}"`;
      if (matches(packet, signature, key)) return undefined;
      return `signature of "${senderId}" does not match the packet`;
    },
  };
}

/** Undefined for bytes that are no packet: callers are callbacks of the bus, where nothing may be thrown. */
function readEnvelope(packet: Uint8Array): RawPacket | undefined {
  try {
    return parsePacket(packet);
  } catch {
    return undefined;
  }
}

/** The published Node library signs the packet with an empty signature field in its place instead of without it. */
function matches(packet: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (verify(digestOf(key), withoutSignature(packet), key, signature)) return true;
  return verify(digestOf(key), withEmptySignature(packet, signature), key, signature);
}

function withEmptySignature(packet: Uint8Array, signature: Uint8Array): Uint8Array {
  const body = Buffer.from(packet);
  const lengthBytes = signature.length < 128 ? 1 : 2;
  const at = body.indexOf(Buffer.from(signature)) - lengthBytes - 1;
  if (at < 0) return body;
  return Buffer.concat([
    body.subarray(0, at),
    Buffer.from([0x72, 0x00]),
    body.subarray(at + 1 + lengthBytes + signature.length),
  ]);
}

function digestOf(key: KeyObject): "sha256" | null {
  return key.asymmetricKeyType === "ed25519" ? null : "sha256";
}

/**
 * Reads a PEM public key and refuses kinds that cannot sign packets.
 * @throws DomainError invalid_argument for anything but P-256 and Ed25519
 */
export function parseSenderKey(pem: string, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new DomainError("invalid_argument", `${name}: not a PEM public key`, { cause });
  }
  const isP256 = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  if (isP256 || key.asymmetricKeyType === "ed25519") return key;
  throw new DomainError("invalid_argument", `${name}: expected a P-256 or Ed25519 key, got ${key.asymmetricKeyType}`);
}
