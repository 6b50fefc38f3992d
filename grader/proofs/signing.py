"""Ed25519: the server's key, signatures, and how a public key is written."""

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gymserve.protocol.errors import InvalidRequest
from gymserve.system import secret_file


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key whose 32 bytes are kept in `path`, in hex; made when there is none."""
    text = secret_file.kept(path, lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex())
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as people pass it on: base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def fingerprint(public: str) -> str:
    """What people compare: 16 hexadecimal digits of a public key's SHA-256."""
    return hashlib.sha256(_raw(public)).hexdigest()[:16]


def signature(key: Ed25519PrivateKey, statement: bytes) -> str:
    return base64.b64encode(key.sign(statement)).decode()


def fits(public: str, statement: bytes, signature: str) -> bool:
    """Whether the owner of `public` signed `statement`."""
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(_raw(public)).verify(raw, statement)
    except (InvalidSignature, InvalidRequest, ValueError):
        return False
    return base64.b64encode(raw).decode() == signature


def _raw(public: str) -> bytes:
    try:
        raw = base64.b64decode(public, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32 or base64.b64encode(raw).decode() != public:
        raise InvalidRequest(f"a public key is the base64 of 32 bytes, not {public!r:.60}")
    return raw
