#!/usr/bin/env bash
# A key package that is made as the README of ts-mls says is valid from 1970 for 292 thousand million years: its lifetime's
# end is 2^63 - 1 seconds. RFC 9420 (7.2) has every application set a longest lifetime and refuse what is longer; who does
# refuses every newcomer who took the defaults. The same package's default for that longest lifetime is 2,628,000 s. And
# the number is too large for a date in JavaScript and in Python, so showing it fails, too.
#
# ts-mls 1.6.4   `defaultLifetime` 0 to 9223372036854775807; `maximumTotalLifetime` of `defaultClientConfig` 2628000
#
# Seen with Node.js 20.20.2 and Python 3.11: `new Date(...)` is invalid, `datetime.fromtimestamp` raises OSError.
# Guessed before: some months, as in OpenMLS (84 days) and in ts-mls 2.0.0-rc.10 (half a month).
# Source: lib of ts-mls, `lifetime.js`, `lifetimeConfig.js`; its README, "Basic Usage".
#
# Ends with 0 while it does so, with 1 when that has changed. Needs Python 3.11, Node.js 20, npm and its registry.
# (@noble/hashes is named here because this release imports it and does not depend on it.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ts-mls@1.6.4 @noble/hashes@2.0.1

cat >lifetime.mjs <<'JS'
import { execFileSync } from "node:child_process";
import { defaultCapabilities, defaultLifetime, generateKeyPackage, getCiphersuiteFromName, getCiphersuiteImpl } from "ts-mls";
import { defaultLifetimeConfig } from "ts-mls";

const suite = await getCiphersuiteImpl(getCiphersuiteFromName("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"));
const credential = { credentialType: "basic", identity: new TextEncoder().encode("newcomer") };
const { publicPackage } = await generateKeyPackage(credential, defaultCapabilities(), defaultLifetime, [], suite);
const { notBefore, notAfter } = publicPackage.leafNode.lifetime;
const script = `from datetime import datetime, UTC
try:
    print(datetime.fromtimestamp(${notAfter}, UTC))
except Exception as error:
    print(type(error).__name__)`;
const python = execFileSync("python3", ["-c", script], { encoding: "utf8" }).trim();
const date = new Date(Number(notAfter) * 1000);
const longest = defaultLifetimeConfig.maximumTotalLifetime;
console.log(`from ${notBefore} to ${notAfter}; longest by its own default ${longest}; JavaScript: ${date}; Python: ${python}`);
const same = notBefore === 0n && notAfter === 2n ** 63n - 1n && longest === 2628000n && Number.isNaN(date.getTime()) && python === "OSError";
console.log(same ? "it never ends: as it was seen" : "this has changed");
process.exit(same ? 0 : 1);
JS
node lifetime.mjs
