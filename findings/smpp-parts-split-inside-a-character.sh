#!/usr/bin/env bash
# The usual SMPP library for Python cuts a long text by octets, not by characters: an emoji that stands at the seam has one
# half of its surrogate pair in each part, and "€" its escape in one and its code in the other. Joined before decoding, the
# text is whole. A telephone or gateway that decodes each part by itself shows two broken signs. And the bill is another
# one: two libraries that count parts for a price keep such characters together, and say three where this one sends two.
#
# smpplib 2.2.4                    306 units of the default alphabet with "€" at the seam: 2 parts
# sms-segments-calculator 1.3.0    3 parts (npm); split-sms 0.1.7: 3 parts (npm)
#
# Seen with Python 3.11 and Node.js 20.20.2. Guessed before: all of them keep a character whole.
# Source: smpplib/gsm.py, `make_parts_encoded`, which cuts at 153 and 134 octets' worth of text and looks at nothing else.
#
# Ends with 0 while they do so, with 1 when one has changed. Needs Python 3.11 with venv, Node.js 20, npm, PyPI.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check smpplib==2.2.4
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts sms-segments-calculator@1.3.0 split-sms@0.1.7

cat >parts.py <<'PY'
import json
from smpplib.gsm import make_parts

HEADER = 6  # octets in front of each part's text
parts, _, _ = make_parts("a" * 152 + "€" + "a" * 152)
emoji, _, _ = make_parts("я" * 66 + "😀" + "я" * 66)
print(json.dumps({
    "parts": [len(parts), len(emoji)],
    "escape ends the first": parts[0][-1] == 0x1B and parts[1][HEADER:HEADER + 1] == b"e",
    "half a pair ends the first": emoji[0][-2:].hex() == "d83d" and emoji[1][HEADER:HEADER + 2].hex() == "de00",
    "joined it is whole": b"".join(part[HEADER:] for part in emoji).decode("utf-16-be") == "я" * 66 + "😀" + "я" * 66,
}))
PY
cat >compare.cjs <<'JS'
const { execFileSync } = require("node:child_process");
const { SegmentedMessage } = require("sms-segments-calculator");
const { split } = require("split-sms");

const texts = ["a".repeat(152) + "€" + "a".repeat(152), "я".repeat(66) + "😀" + "я".repeat(66)];
const sent = JSON.parse(execFileSync("venv/bin/python", ["parts.py"], { encoding: "utf8" }));
const counted = texts.map((text) => [new SegmentedMessage(text).segmentsCount, split(text).parts.length]);
console.log("smpplib", JSON.stringify(sent), "counted by others", JSON.stringify(counted));
const same =
  JSON.stringify(sent) === JSON.stringify({ parts: [2, 2], "escape ends the first": true, "half a pair ends the first": true, "joined it is whole": true }) &&
  JSON.stringify(counted) === JSON.stringify([[3, 3], [3, 3]]);
console.log(same ? "as it was seen" : "this has changed");
process.exit(same ? 0 : 1);
JS
node compare.cjs
