"""A signer, and an image that it signed. Needs c2pa-python and cryptography."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sample_signatures import signed_png


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with the certificate of a root, and a signer whose certificate it issued."""
    c2pa = pytest.importorskip("c2pa", reason="the test needs c2pa-python")
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now, keys = datetime.now(timezone.utc), [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        for name in ("Root", "Signer")
    ]
    pems = []
    for number, (key, name) in enumerate(zip(keys, names, strict=True)):
        is_root = number == 0
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(_usage(x509, is_root), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False
            )
        )
        if not is_root:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
            builder = builder.add_extension(_servers(x509), critical=False)
        pems.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    folder = tmp_path_factory.mktemp("trust")
    (folder / "root.pem").write_bytes(pems[0])
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = c2pa.C2paSignerInfo(b"es256", pems[1] + pems[0], private, None)
    return folder, c2pa.Signer.from_info(info)


def _servers(x509: Any) -> Any:
    """Where to ask whether the certificate still counts, and for its issuer's: nobody listens there."""
    kinds = (x509.oid.AuthorityInformationAccessOID.OCSP, x509.oid.AuthorityInformationAccessOID.CA_ISSUERS)
    address = x509.UniformResourceIdentifier("http://127.0.0.1:9/")
    return x509.AuthorityInformationAccess([x509.AccessDescription(kind, address) for kind in kinds])


def _usage(x509: Any, is_root: bool) -> Any:
    names = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **dict.fromkeys(names, False)
    )


@pytest.fixture(scope="session")
def signed(authority: tuple[Path, Any]) -> bytes:
    """A PNG whose manifest says that AI made it."""
    return signed_png(authority[1], {})
