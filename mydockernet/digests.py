"""SHA-256 without OpenSSL, which `hashlib` loads in 4 ms. Python's own `random` does the same for SHA-512."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # Python 3.12 and later.
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

__all__ = ("sha256",)
