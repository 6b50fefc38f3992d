"""Ed25519 signatures: the server's key, and the text form of public keys."""

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gymserve.protocol.errors import InvalidRequest
from gymserve.system import secret_file


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in the file `path` (32 bytes in hex), which is created on first use."""
    text = secret_file.read_or_create(path, lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex())
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))


def public_text(key: Ed25519PrivateKey) -> str:
    """The text form of a public key: its 32 bytes in base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def fingerprint(public: str) -> str:
    """A short form of a public key for people to compare: 16 hex digits of its SHA-256.

    Raises:
        InvalidRequest: the text is not a public key.
    """
    return hashlib.sha256(_raw(public)).hexdigest()[:16]


def signature(key: Ed25519PrivateKey, statement: bytes) -> str:
    """The signature of a statement in base64."""
    return base64.b64encode(key.sign(statement)).decode()


def fits(public: str, statement: bytes, signature: str) -> bool:
    """Whether this is the signature of `statement` with the private key of `public`."""
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
