"""An OpenID Connect issuer made of two documents in a bucket, and the tokens it is said to have signed."""

import base64
import json
import time
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "overglass-e2e"
KEY_ID = "e2e-1"
LIFETIME_SECONDS = 3600


class Issuer:
    """`url` is where its documents are served: `/.well-known/openid-configuration` and `jwks.json`."""

    def __init__(self, url):
        self.url = url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def documents(self):
        """Path, below the issuer's URL, and content of each document."""
        numbers = self.key.public_key().public_numbers()
        jwks_path = ".well-known/jwks.json"
        return {
            ".well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/{jwks_path}",
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
            },
            jwks_path: {
                "keys": [
                    {
                        "kty": "RSA",
                        "alg": "RS256",
                        "use": "sig",
                        "kid": KEY_ID,
                        "n": encode_number(numbers.n),
                        "e": encode_number(numbers.e),
                    }
                ]
            },
        }

    def token(self, email):
        """A token for the person with that address, valid for an hour."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{email}")),
            "email": email,
            "email_verified": True,
            "name": email.partition("@")[0].capitalize(),
            "token_use": "id",
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"

    def private_key(self):
        """The signing key as PEM, for tests that need a token which is wrong in some way."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode_number(number):
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
