#!/usr/bin/env bash
# Two npm packages give the same KEM (X-Wing, HPKE number 0x647a) two DeriveKeyPairs: from the same valid input key
# material they make different key pairs. Each opens what is sealed to its own key pair, so no round trip shows it.
# Whoever derives keys on both sides, as MLS does for the keys of its tree, cannot talk to who has the other package.
#
# hpke 1.1.7 with @panva/hpke-noble 1.0.3  SHAKE256 over ikm and labels: draft-ietf-hpke-pq, "DeriveKeyPair"
# @hpke/hybridkem-x-wing 0.7.0             SHAKE256 over ikm alone, as drafts of X-Wing before
#
# Seen with Node.js 20.20.2 and 24.19.0, for ikm = 00 01 .. 1f:
#   labelled   private 4cb54611511238fb..., SHA-256 of the public key 9c413b9cf8331b07...
#   unlabelled private 69f07c8840ce8002..., SHA-256 of the public key e735f8e75ba7883a...
# Source: lib of @hpke/hybridkem-x-wing, `deriveKeyPair`; hpke, `KEM_MLKEM768_X25519`. Also seen: labelled in Go 1.26.8
# crypto/hpke, Rust hpke 0.14.1 and hpke-rs 0.8.0; unlabelled in circl 1.6.5 and hpke-rs 0.7.0.
#
# Ends with 0 while both do so, with 1 when one of them has changed. Needs Node.js 20, npm and its registry.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts hpke@1.1.7 @panva/hpke-noble@1.0.3 @hpke/hybridkem-x-wing@0.7.0

cat >derive.mjs <<'JS'
import { createHash } from "node:crypto";
import { AEAD_ChaCha20Poly1305, KDF_HKDF_SHA256, KEM_MLKEM768_X25519 } from "@panva/hpke-noble";
import { CipherSuite } from "hpke";
import { XWing } from "@hpke/hybridkem-x-wing";

const ikm = Uint8Array.from({ length: 32 }, (_, place) => place);
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const hash = (bytes) => createHash("sha256").update(new Uint8Array(bytes)).digest("hex");

const suite = new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_ChaCha20Poly1305);
const labelled = await suite.DeriveKeyPair(ikm, true);
const one = [hex(await suite.SerializePrivateKey(labelled.privateKey)), hash(await suite.SerializePublicKey(labelled.publicKey))];

const kem = new XWing();
const unlabelled = await kem.deriveKeyPair(ikm.slice().buffer);
const other = [hex(await kem.serializePrivateKey(unlabelled.privateKey)), hash(await kem.serializePublicKey(unlabelled.publicKey))];

console.log(`hpke:                   KEM 0x${suite.KEM.id.toString(16)}, private ${one[0]}, SHA-256 of public ${one[1]}`);
console.log(`@hpke/hybridkem-x-wing: KEM 0x${kem.id.toString(16)}, private ${other[0]}, SHA-256 of public ${other[1]}`);
const seen =
  suite.KEM.id === 0x647a && kem.id === 0x647a &&
  one[0].startsWith("4cb54611511238fb") && one[1].startsWith("9c413b9cf8331b07") &&
  other[0].startsWith("69f07c8840ce8002") && other[1].startsWith("e735f8e75ba7883a");
console.log(seen ? "the same input, two key pairs: as it was seen" : "this has changed");
process.exit(seen ? 0 : 1);
JS
node derive.mjs
