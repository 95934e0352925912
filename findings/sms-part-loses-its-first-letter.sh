#!/usr/bin/env bash
# A modem library for Python takes the first letter from every part of a long SMS whose parts are numbered by 16 bits.
# Such parts are as usual as those with 8 bits: the header is one octet longer, seven in all, and so ends where a letter
# ends; no bit is filled up after it. The library counts seven bits of filling there, and skips a letter. With UCS-2, or
# with a header of six octets, nothing is lost, so it shows only with some senders.
#
# python-gsmmodem-new 0.13.0   "ello part" where the part says "hello part"
# smspdudecoder 2.2.0          "hello part", for comparison, from the same octets
#
# Seen with Python 3.11: an SMS-DELIVER from +44 7700 900123, part 1 of 2, header 06 08 04 12 34 02 01, ten letters.
# Guessed before: both read both. Source: gsmmodem/pdu.py, `_decodeUserData`; 3GPP TS 23.040, 9.2.3.24 and figure 9.2.3.24(a).
#
# Ends with 0 while it does so, with 1 when that has changed. Needs Python 3.11 with venv, and PyPI.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-gsmmodem-new==0.13.0 pyserial==3.5 \
    smspdudecoder==2.2.0 bitstring==4.3.1

"$folder/venv/bin/python" - <<'PY'
from gsmmodem.pdu import decodeSmsPdu
from smspdudecoder.easy import read_incoming_sms

EIGHT_BITS = "00440C9144770009103200006211102143650011050003420201D06536FB0D8287E574"
SIXTEEN_BITS = "00440C914477000910320000621110214365001206080412340201E8329BFD06C1C3723A"

seen = {}
for name, pdu in (("8 bits", EIGHT_BITS), ("16 bits", SIXTEEN_BITS)):
    seen[name] = decodeSmsPdu(pdu)["text"], read_incoming_sms(pdu)["content"]
    print(f"reference of {name:7}  python-gsmmodem-new {seen[name][0]!r}, smspdudecoder {seen[name][1]!r}")

same = seen == {"8 bits": ("hello part", "hello part"), "16 bits": ("ello part", "hello part")}
print("a letter is missing: as it was seen" if same else "this has changed")
raise SystemExit(0 if same else 1)
PY
