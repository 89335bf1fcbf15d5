"""tokens - JSON Web Tokens made without any library of the program under test."""
import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://login.test/"
AUDIENCE = "presignd"
SECRET = b"a shared secret of the tests, longer than 64 bytes so that HS512 is fine too"
CURVES = {"ES256": (ec.SECP256R1, "P-256", 32), "ES384": (ec.SECP384R1, "P-384", 48),
          "ES512": (ec.SECP521R1, "P-521", 66)}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def make_key(alg="RS256"):
    """A private key that serves `alg`; for HS* bytes."""
    if alg.startswith("HS"):
        return SECRET
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg][0]())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def number(value, size=None):
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def jwk(key, kid=None, alg=None, **more):
    """The public JWK of a private key (RFC 7518 section 6, RFC 8037)."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        out = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw,
                                            serialization.PublicFormat.Raw)
        out = {"kty": "OKP", "crv": "Ed25519", "x": b64url(raw)}
    else:
        numbers = key.public_key().public_numbers()
        name, size = next((n, s) for c, n, s in CURVES.values() if c.name == key.curve.name)
        out = {"kty": "EC", "crv": name, "x": number(numbers.x, size), "y": number(numbers.y, size)}
    if kid is not None:
        out["kid"] = kid
    if alg is not None:
        out["alg"] = alg
    return out | {"use": "sig"} | more


def signature(message, alg, key):
    """The JWS signature (RFC 7518 section 3)."""
    if alg == "EdDSA":
        return key.sign(message)
    chosen = HASHES[alg[2:]]()
    if alg.startswith("HS"):
        return hmac.new(key, message, getattr(hashlib, "sha" + alg[2:])).digest()
    if alg.startswith("RS"):
        return key.sign(message, padding.PKCS1v15(), chosen)
    if alg.startswith("PS"):
        return key.sign(message, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
    size = CURVES[alg][2]
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(chosen)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign(claims, alg="HS256", key=SECRET, **header):
    """A token with exactly these claims; header members set to None are left out."""
    head = {k: v for k, v in ({"alg": alg, "typ": "JWT"} | header).items() if v is not None}
    text = f"{b64url(compact(head))}.{b64url(compact(claims))}"
    return f"{text}.{b64url(signature(text.encode(), alg, key))}"


def token(user="alice", alg="HS256", key=SECRET, ttl_s=600, header=None, **claims):
    """A good token for the tests' issuer; a claim set to None is left out."""
    now = int(time.time())
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + ttl_s}
    all_claims |= claims
    return sign({k: v for k, v in all_claims.items() if v is not None}, alg, key, **(header or {}))
