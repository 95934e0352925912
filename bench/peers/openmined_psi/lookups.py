"""`lookups.py RECORDS LOOKUPS`: OpenMined PSI over the 16-byte tags of a file of 128-byte records.

Prints one line of JSON. It runs in an environment of its own, since it needs packages that nothing else here does.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import private_set_intersection.python as psi  # type: ignore[import-not-found]

RECORD = 128
TAG = 16
STRIDE = 7_919
FALSE_POSITIVES = 1e-6
"""Lookups of a number that is not there that find it all the same: the library has no exact answer."""


def looked_up(server: Any, client: Any, setup: Any, tag: str) -> dict[str, float]:
    """One lookup of one tag: bytes, and a core's milliseconds."""
    start = time.process_time()
    asked = client.CreateRequest([tag]).SerializeToString()
    sent = time.process_time()
    request = psi.Request()
    request.ParseFromString(asked)
    answered = server.ProcessRequest(request).SerializeToString()
    came = time.process_time()
    response = psi.Response()
    response.ParseFromString(answered)
    found = client.GetIntersection(setup, response)
    end = time.process_time()
    if found != [0]:
        sys.exit("a tag of the table was not found")
    client_ms = (sent - start + end - came) * 1e3
    return {"up": len(asked), "down": len(answered), "server_ms": (came - sent) * 1e3, "client_ms": client_ms}


def main(path: str, lookups: int) -> None:
    table = Path(path).read_bytes()
    tags = [table[at : at + TAG].hex() for at in range(0, len(table), RECORD)]
    server, client = psi.server.CreateWithNewKey(True), psi.client.CreateWithNewKey(True)
    start = time.process_time()
    file = server.CreateSetupMessage(FALSE_POSITIVES, 1, tags, psi.DataStructure.GCS).SerializeToString()
    setup_s = time.process_time() - start
    start = time.process_time()
    setup = psi.ServerSetup()
    setup.ParseFromString(file)
    client_setup_s = time.process_time() - start
    found = [looked_up(server, client, setup, tags[n * STRIDE % len(tags)]) for n in range(lookups)]
    columns = {name: [one[name] for one in found] for name in found[0]}
    sizes = {"up": max(columns["up"]), "down": max(columns["down"]), "cold": len(file)}
    times = {"server_ms": columns["server_ms"], "client_ms": columns["client_ms"], "ahead_ms": [0] * lookups}
    print(json.dumps({"setup_s": setup_s, "client_setup_s": client_setup_s} | sizes | times))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
