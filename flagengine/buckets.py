"""Where a subject falls in a split."""

import mmh3

BUCKETS = 100_000  # 0.001 % steps
HASHES = 1 << 32
LARGEST_INTEGER = (1 << 53) - 1  # what a JavaScript number holds exactly

murmur3 = mmh3.mmh3_32_uintdigest


def bucket_of(salt: str, text: str) -> int:
    """Place `text` in one of BUCKETS equal buckets, 0 … BUCKETS-1.

    Stable for ever: changing this moves users between variations (tests/vectors/bucketing.json).
    """
    return murmur3(encoded(f"{salt}:{text}")) * BUCKETS >> 32


def first_hash_past(share_total: int) -> int:
    """The smallest hash whose bucket is `share_total` or more.

    Comparing hashes with it is comparing buckets with `share_total`, less a multiplication.
    """
    return -(-share_total * HASHES // BUCKETS)


def encoded(text: str) -> bytes:
    """`text` as UTF-8, each lone surrogate as U+FFFD.

    Never hand a str to mmh3: it crashes the process on a lone surrogate (5.3.1).
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        utf16 = text.encode("utf-16-le", "surrogatepass")
        return utf16.decode("utf-16-le", "replace").encode()


def hash_of(prefix: str, text: str) -> int:
    """The hash of a text that may hold lone surrogates; `prefix` is the salt and its colon."""
    return murmur3(encoded(prefix + text))


def text_of(value: object) -> str | None:
    """What a split hashes for an attribute value; None when the value has no text."""
    if isinstance(value, str):
        return str.__str__(value)  # a plain one, also of an enum
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(int(value)) if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else None
    if isinstance(value, float) and value.is_integer():
        return str(int(value)) if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else None
    return None


def subject_of(value: object) -> str:
    """The targeting key in the form that is hashed; empty when it counts as missing."""
    return str.__str__(value) if isinstance(value, str) else ""
