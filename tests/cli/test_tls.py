"""TLS without a proxy, and what a person is told of a certificate that nobody vouches for."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cli.play import Service, Stage

pytestmark = pytest.mark.whole


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Stage, str]]:
    """A server with a certificate of its own making, and its URL."""
    certificate, key = make_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    service = Service("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *options)
    port = service.listening().rpartition(":")[2]
    yield Stage(tmp_path), f"https://localhost:{port}"
    assert service.stop() == 0


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    return folder / "certificate.pem", folder / "key.pem"


def test_a_certificate_that_nobody_vouches_for_is_no_server(server: tuple[Stage, str]) -> None:
    stage, url = server
    outcome = stage.grue("--json", "--home", "alice", "register", "+447700900141", "--server", url)
    assert (json.loads(outcome.stderr[0])["error"], outcome.code) == ("bad_certificate", 4)


def test_a_server_speaks_tls_by_itself(server: tuple[Stage, str], tmp_path: Path) -> None:
    stage, url = server
    # A process of its own: the certificates that are trusted are read when aiohttp is loaded.
    trusting = {"SSL_CERT_FILE": str(tmp_path / "certificate.pem")}
    doctor = Service("--json", "--home", str(tmp_path / "nowhere"), "doctor", "--server", url, env=trusting)
    found = doctor.first(lambda check: check.get("check") == "server")
    doctor.stop()
    assert (found["ok"], "no SMS" in found["message"]) == (True, True)
    url_check = doctor.first(lambda check: check.get("check") == "url")
    assert "TLS hides it" in url_check["message"]
    assert stage.path == tmp_path
