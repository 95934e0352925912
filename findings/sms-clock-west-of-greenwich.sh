#!/usr/bin/env bash
# Two npm packages misread the time zone in the time stamp of an SMS, each for other zones. The stamp counts quarters of
# an hour in two decimal digits, halves of an octet swapped, and says "west" by one bit of the tens digit. `pdu` takes the
# octet for a number as soon as that digit becomes a letter, so New York (-05:00, 0x0A) is read as +02:30, while Newfoundland
# (-03:30) is right. `node-pdu` counts right and writes whole hours with a decimal point: Nepal is "+5.75:00", which no
# parser of ISO 8601 takes.
#
# pdu 1.1.0        12:34:56 -05:00 is 17:34:56Z; read as 10:04:56Z, seven and a half hours early
# node-pdu 2.1.1   12:34:56 +05:45 becomes "2026-11-01T12:34:56+5.75:00"; as a Date of JavaScript: invalid
#
# Seen with Node.js 20.20.2. Guessed before: negative zones are read as positive ones everywhere. Not so: only where the
# tens digit with its bit is above nine. Source: 3GPP TS 23.040, 9.2.3.11; lib of pdu, `parse`, and of node-pdu, `SCTS`.
#
# Ends with 0 while both do so, with 1 when one has changed. Needs Node.js 20, npm and its registry.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts pdu@1.1.0 node-pdu@2.1.1

cat >zones.mjs <<'JS'
import pdu from "pdu";
import { parse } from "node-pdu";

// From +44 7700 900123, 1 November 2026, 12:34:56, "hello"; the octet is the zone.
const message = (zone) => `00040C914477000910320000621110214365${zone}05E8329BFD06`;
const zones = { "+00:00": "00", "-03:30": "49", "-05:00": "0A", "+05:45": "32" };

const seen = {};
for (const [zone, octet] of Object.entries(zones)) {
  const right = new Date(`2026-11-01T12:34:56${zone}`).toISOString().slice(0, 19);
  const one = pdu.parse(message(octet)).time.toISOString().slice(0, 19);
  const other = parse(message(octet)).serviceCenterTimeStamp.getIsoString();
  seen[zone] = [one === right, Number.isNaN(Date.parse(other)) ? "not a date" : new Date(other).toISOString().slice(0, 19) === right];
  console.log(`${zone}: right ${right}Z, pdu ${one}Z, node-pdu ${other}`);
}
const expected = { "+00:00": [true, true], "-03:30": [true, "not a date"], "-05:00": [false, true], "+05:45": [true, "not a date"] };
const same = JSON.stringify(seen) === JSON.stringify(expected);
console.log(same ? "as it was seen" : `this has changed: ${JSON.stringify(seen)}`);
process.exit(same ? 0 : 1);
JS
node zones.mjs
