#!/usr/bin/env bash
# Three libraries that decode what a GSM modem gives drop the letters of national language tables, without a word. A
# Turkish SMS may name such a table in its header, so that 155 letters fit in one message where UCS-2 has 70. Each letter
# of it then stands as an escape and one more code. None of the three looks at the header; what an unknown escape becomes
# is different in each. With a locking table plain letters change as well.
#
# python-gsmmodem-new 0.13.0   single shift "ŞşĞı": nothing is left; locking "€ğĞŞş": "èøØÆæ"
# smspdudecoder 2.2.0          four spaces; "èøØÆæ"
# node-pdu 2.1.1               four grave accents; "èøØÆæ"
#
# Seen with Python 3.11 and Node.js 20.20.2. Guessed before: at least one reads them, or says that it cannot. The standard
# lets a receiver that lacks a table take the default alphabet, so the words are wrong with no error on the way.
# Source: 3GPP TS 23.038, A.2.1 and A.3.1 (0x53, 0x73, 0x47, 0x69 by single shift; 0x04, 0x0c, 0x0b, 0x1c, 0x1d locking);
# TS 23.040, 9.2.3.24.15 and .16 (elements 0x24 and 0x25).
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

cat >pdus.json <<'JSON'
["00440C914477000910320000621110214365000D03240101D84C37F3CD719306", "00440C914477000910320000621110214365000A032501012030169C0E"]
JSON
cat >read.py <<'PY'
import json
from gsmmodem.pdu import decodeSmsPdu
from smspdudecoder.easy import read_incoming_sms

pdus = json.load(open("pdus.json"))
print(json.dumps([[decodeSmsPdu(pdu)["text"] for pdu in pdus], [read_incoming_sms(pdu)["content"] for pdu in pdus]]))
PY
cat >compare.mjs <<'JS'
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parse } from "node-pdu";

const pdus = JSON.parse(readFileSync("pdus.json", "utf8"));
const read = JSON.parse(execFileSync("venv/bin/python", ["read.py"], { encoding: "utf8" }));
read.push(pdus.map((pdu) => parse(pdu).data.getText()));
["python-gsmmodem-new", "smspdudecoder", "node-pdu"].forEach((name, place) =>
  console.log(`${name.padEnd(20)} single shift ${JSON.stringify(read[place][0])}, locking ${JSON.stringify(read[place][1])}`));
const expected = [["", "èøØÆæ"], ["    ", "èøØÆæ"], ["````", "èøØÆæ"]];
const same = JSON.stringify(read) === JSON.stringify(expected);
console.log(same ? "no Turkish letter was read: as it was seen" : "this has changed");
process.exit(same ? 0 : 1);
JS
node compare.mjs
