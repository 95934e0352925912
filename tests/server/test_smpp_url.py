"""The URL of an SMPP gateway, and TLS to it."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from grue.errors import SmsGatewayDown, UsageError
from grue.server.sms import smpp
from grue.server.sms.sms import open_gateway
from tests.server.smskit import company, gateway

# --- the URL --------------------------------------------------------------------------------------


def test_the_url_says_everything() -> None:
    made = open_gateway("smpp://grue:p%40ss@carrier.example:2776?name=Example+Telecom&from=+447700900999&window=50")
    assert isinstance(made, smpp.SmppGateway)
    config = made._config
    assert (config.host, config.port, config.system_id, config.password) == ("carrier.example", 2776, "grue", "p@ss")
    assert (config.service, config.window, config.tls) == ("+447700900999", 50, None)
    assert open_gateway("smpp://carrier.example").description == "the carrier behind carrier.example"
    assert open_gateway("smpp://carrier.example?name=Example%20Telecom").description == "Example Telecom"
    assert open_gateway("smpps://[::1]")._config.port == smpp.DEFAULT_PORT_TLS  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        "carrier.example:2775",
        "http://carrier.example",
        "smpp://",
        "smpp://carrier.example:port",
        "smpp://carrier.example:99999",
        "smpp://[::1",
        "smpp://a-name-of-sixteen:p@carrier.example",
        "smpp://grue:nine-char@carrier.example",
        "smpp://gr%C3%BCe:p@carrier.example",
        "smpp://carrier.example?window=0",
        "smpp://carrier.example?windwo=5",
        "smpp://carrier.example?from=a-name-that-is-long",
        "smpps://carrier.example?ca=/nowhere.pem",
        "",
    ],
)
def test_a_url_that_is_none_says_what_to_write(url: str) -> None:
    with pytest.raises(UsageError):
        open_gateway(url)


# --- TLS ------------------------------------------------------------------------------------------


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 in folder/ca.pem; the server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "carrier")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_over_tls_the_carrier_has_to_show_a_certificate_that_we_trust(tmp_path: Path) -> None:
    async with company() as carrier:
        host, port = carrier.address.split(":")

        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(4096):
                writer.write(data)
            writer.close()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

        front = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=certificate(tmp_path))
        address = f"127.0.0.1:{front.sockets[0].getsockname()[1]}"
        async with gateway(address, tls=ssl.create_default_context(cafile=tmp_path / "ca.pem")) as sms:
            await sms.text()
        async with gateway(address, tls=ssl.create_default_context()) as sms:
            with pytest.raises(SmsGatewayDown):
                await sms.text()
            assert sms.health == "no connection (SSLCertVerificationError)"
        assert carrier.texts == ["hello"]
        front.close()
