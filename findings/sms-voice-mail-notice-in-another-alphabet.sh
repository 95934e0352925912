#!/usr/bin/env bash
# "A message is waiting" comes as an SMS with a coding of its own (0xC0 to 0xEF), and libraries disagree about its letters.
# 0xC8 and 0xD0 are the default alphabet, 0xE0 and 0xE8 UCS-2; the bit that says UCS-2 in the general group (0x08) says
# which kind of notice here. Neither Python library reads all four. The one that looks at 0x08 turns plain letters into
# Chinese and private signs, the other one UCS-2 into Greek ones; 0xE0, what networks send, is wrong in all three.
#
# python-gsmmodem-new 0.13.0   0xE0, 0xE8 wrong
# smspdudecoder 2.2.0          0xC8, 0xE0 wrong
# node-pdu 2.1.1 (npm)         0xE0 wrong
#
# Seen with Python 3.11 and Node.js 20.20.2. Guessed before: 0xE0 is read everywhere, since it is all that is in use.
# Source: 3GPP TS 23.038, 4, "Message Waiting Indication Group"; `_decodeDataCoding` of gsmmodem/pdu.py; smspdudecoder/fields.py.
#
# Ends with 0 while all do so, with 1 when one has changed. Needs Python 3.11 with venv, Node.js 20, npm, PyPI.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check python-gsmmodem-new==0.13.0 pyserial==3.5 smspdudecoder==2.2.0 bitstring==4.3.1
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts node-pdu@2.1.1

# "Voicemail" in the default alphabet, in Cyrillic for UCS-2.
cat >pdus.json <<'JSON'
{ "C8": "00040C9144770009103200C86211102143650009D6777A5C6E87D36C", "D0": "00040C9144770009103200D06211102143650009D6777A5C6E87D36C", "E0": "00040C9144770009103200E0621110214365000A043F043E044704420430", "E8": "00040C9144770009103200E8621110214365000A043F043E044704420430" }
JSON
cat >read.py <<'PY'
import json
from gsmmodem.pdu import decodeSmsPdu
from smspdudecoder.easy import read_incoming_sms

pdus = json.load(open("pdus.json")).values()
print(json.dumps([[decodeSmsPdu(pdu)["text"] for pdu in pdus], [read_incoming_sms(pdu)["content"] for pdu in pdus]]))
PY
cat >compare.mjs <<'JS'
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parse } from "node-pdu";

const pdus = Object.values(JSON.parse(readFileSync("pdus.json", "utf8")));
const read = JSON.parse(execFileSync("venv/bin/python", ["read.py"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
read.push(pdus.map((pdu) => parse(pdu).data.getText()));
const sent = ["Voicemail", "Voicemail", "почта", "почта"];
const right = read.map((texts) => texts.map((text, place) => text === sent[place]));
["python-gsmmodem-new", "smspdudecoder", "node-pdu"].forEach((name, place) => console.log(name.padEnd(20), JSON.stringify(read[place])));
const expected = [[true, true, false, false], [false, true, false, true], [true, true, false, true]];
const same = JSON.stringify(right) === JSON.stringify(expected);
console.log(same ? "as it was seen" : `this has changed: ${JSON.stringify(right)}`);
process.exit(same ? 0 : 1);
JS
node compare.mjs
