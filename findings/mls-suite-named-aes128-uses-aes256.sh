#!/usr/bin/env bash
# ts-mls has an MLS suite whose name says AES-128-GCM and SHA-256, and which encrypts with AES-256-GCM under keys of 32 bytes
# and derives all secrets by HKDF-SHA512, 64 bytes each. Only its hash is SHA-256. Two members that run ts-mls do not notice.
# Who takes the parts from the name, as that works for every suite of RFC 9420, cannot open one message of such a group.
#
# ts-mls 2.0.0-rc.10, MLS_128_MLKEM512_AES128GCM_SHA256_Ed25519, 0xf007. Its README lists the suite under AES128GCM, HKDF-SHA256.
#
# Seen with Node.js 20.20.2: 0xf007 has AEAD keys of 32 bytes, a KDF of 64 and a hash of 32; suite 0x0001, whose name ends the
# same way, has 16, 32 and 32. Expected for both: 16, 32 and 32.
# Source: lib of ts-mls, `ciphersuiteValues[0xf007].hpke`, `aead: "AES256GCM", kdf: "HKDF-SHA512"`.
#
# Ends with 0 while it does so, with 1 when that has changed. Needs Node.js 20, npm and its registry. (@noble/hashes is named
# here because this release imports it and does not depend on it.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ts-mls@2.0.0-rc.10 @noble/hashes@2.0.1 @hpke/ml-kem@0.3.0

cat >suite.mjs <<'JS'
import { getCiphersuiteImpl } from "ts-mls";

const seen = {};
for (const name of ["MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", "MLS_128_MLKEM512_AES128GCM_SHA256_Ed25519"]) {
  const suite = await getCiphersuiteImpl(name);
  const hash = (await suite.hash.digest(new Uint8Array())).length;
  seen[suite.id] = [suite.hpke.keyLength, suite.kdf.size, hash].join(" ");
  console.log(`${name}, 0x${suite.id.toString(16)}: key ${suite.hpke.keyLength}, KDF ${suite.kdf.size}, hash ${hash} bytes`);
}
const same = seen[0x0001] === "16 32 32" && seen[0xf007] === "32 64 32";
console.log(same ? "one name, other parts: as it was seen" : "this has changed");
process.exit(same ? 0 : 1);
JS
node suite.mjs
