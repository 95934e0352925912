#!/usr/bin/env bash
# Who sends an SMS under a name: three libraries give three answers, by the number of its letters. The length of such an
# address counts halves of octets, for a name too: "Grue" is 28 bits, seven halves in four octets. One library wants whole
# octets and raises StopIteration, which names nothing and ends a reader's loop as if there were no more messages. One takes
# the octets for letters, and adds "@" (code 0) wherever seven bits are left over, so a sender of seven letters has eight.
# One reads the letters as decimal digits, so that a name becomes a telephone number.
#
# python-gsmmodem 0.9          "Grue": StopIteration; "InfoSMS": StopIteration; "Gruesome" is read
# smspdudecoder 2.2.0          "InfoSMS" becomes "InfoSMS@"
# pdu 1.1.0 (npm)              "Grue" becomes "74971311120"
# node-pdu 2.1.1 (npm)         all right
#
# Seen with Python 3.11 and Node.js 20.20.2. Guessed before: a stray "@" somewhere; not the loop's end, and no number.
# python-gsmmodem-new 0.13.0, the successor, reads all three.
# Source: 3GPP TS 23.040, 9.1.2.5; gsmmodem/pdu.py, `_decodeAddressField`; lib of pdu, `parse`.
#
# Ends with 0 while all do so, with 1 when one has changed. Needs Python 3.11 with venv, Node.js 20, npm, PyPI.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check python-gsmmodem==0.9 pyserial==3.5 smspdudecoder==2.2.0 bitstring==4.3.1
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts pdu@1.1.0 node-pdu@2.1.1

# "hello" from "Grue", from "InfoSMS" and from "Gruesome".
cat >pdus.json <<'JSON'
["000407D04779BD0C00006211102143650005E8329BFD06", "00040DD049B7F93D6D4E0100006211102143650005E8329BFD06", "00040ED04779BD3C7FB7CB00006211102143650005E8329BFD06"]
JSON
cat >read.py <<'PY'
import json
from gsmmodem.pdu import decodeSmsPdu
from smspdudecoder.easy import read_incoming_sms

def sender(pdu: str) -> str:
    try:
        return decodeSmsPdu(pdu)["number"]
    except Exception as error:
        return type(error).__name__

pdus = json.load(open("pdus.json"))
print(json.dumps([[sender(pdu) for pdu in pdus], [read_incoming_sms(pdu)["sender"] for pdu in pdus]]))
PY
cat >compare.mjs <<'JS'
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parse } from "node-pdu";
import pdu from "pdu";

const pdus = JSON.parse(readFileSync("pdus.json", "utf8"));
const read = JSON.parse(execFileSync("venv/bin/python", ["read.py"], { encoding: "utf8" }));
read.push(pdus.map((one) => pdu.parse(one).sender), pdus.map((one) => parse(one).address.phone));
["python-gsmmodem", "smspdudecoder", "pdu", "node-pdu"].forEach((name, place) => console.log(name.padEnd(20), JSON.stringify(read[place])));
const expected = [
  ["StopIteration", "StopIteration", "Gruesome"],
  ["Grue", "InfoSMS@", "Gruesome"],
  ["74971311120", "94711913313614410", "749713111231577111112"],
  ["Grue", "InfoSMS", "Gruesome"],
];
const same = JSON.stringify(read) === JSON.stringify(expected);
console.log(same ? "as it was seen" : "this has changed");
process.exit(same ? 0 : 1);
JS
node compare.mjs
