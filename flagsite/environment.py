"""Reads the process environment, typed, once: settings.py asks here and nothing else does.

While `bin/up` runs, FLAGSITE_HOME/environment says what it gave its processes, so that
`manage.py` in a second shell works on the same data. What a process has been given itself wins.
"""

import base64
import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("FLAGSITE_HOME") or BASE_DIR / ".flagsite").expanduser().resolve()


def left_by_up(home: Path) -> dict[str, str]:
    """The variables of the `bin/up` that runs on this data folder; none when none does."""
    try:
        lines = shlex.split((home / "environment").read_text(), comments=True)
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


VARIABLES = {**left_by_up(HOME), **os.environ}


def text(name: str, default: str | None = None) -> str:
    """The variable's value; without a default, a missing one stops the start with its name."""
    value = VARIABLES.get(name, "")
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(
            f"{name} is not set, and it has no default "
            "(bin/up sets it: while it runs, name the FLAGSITE_HOME that it has)"
        )
    return default


def flag(name: str, default: bool) -> bool:
    value = VARIABLES.get(name, "").strip().lower()
    if value == "":
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(
        f"{name} is {value!r}, expected one of 1, true, yes, on, 0, false, no, off"
    )


def integer(name: str, default: int, *, at_least: int = 0) -> int:
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}, expected a whole number") from None
    if number < at_least:
        raise ImproperlyConfigured(f"{name} is {number}, expected at least {at_least}")
    return number


def seconds(name: str, default: float) -> timedelta:
    value = text(name, str(default))
    try:
        number = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}, expected a number of seconds") from None
    if not 0 < number < 10**9:
        raise ImproperlyConfigured(f"{name} is {value!r}, expected a positive number of seconds")
    return timedelta(seconds=number)


def names(name: str, default: str = "") -> list[str]:
    """A list separated by commas; empty entries are dropped."""
    return [part.strip() for part in text(name, default or ",").split(",") if part.strip()]


def signing_key(name: str) -> bytes | None:
    """32 bytes in base64, such as `openssl rand -base64 32` makes them; None when not set."""
    value = text(name, " ").strip()
    if not value:
        return None
    try:
        key = base64.b64decode(value, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        # The value is a secret: it is not repeated.
        raise ImproperlyConfigured(f"{name} is not 32 bytes in base64 (openssl rand -base64 32)")
    return key


def path(name: str, default: Path) -> Path:
    return Path(text(name, str(default))).expanduser().resolve()


def database(name: str) -> dict[str, object]:
    """Django's settings for `postgresql://user:password@host:port/name?option=value`.

    A host that is a folder (`?host=/run/postgresql`) names a Unix socket, as libpq has it.
    """
    address = urlsplit(text(name))
    if address.scheme not in {"postgresql", "postgres"} or len(address.path) < 2:
        raise ImproperlyConfigured(
            f"{name} is not an address of PostgreSQL, expected postgresql://user:password@host:port/name"
        )
    options = dict(part.partition("=")[::2] for part in address.query.split("&") if part)
    options = {key: unquote(value) for key, value in options.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(address.path[1:]),
        "USER": unquote(address.username or ""),
        "PASSWORD": unquote(address.password or ""),
        "HOST": options.pop("host", unquote(address.hostname or "")),
        "PORT": str(address.port or ""),
        "OPTIONS": options,
    }


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over; TLS is `starttls`, `implicit` or `none`."""

    host: str
    port: int
    user: str
    password: str
    tls: str


def mail_server(name: str) -> MailServer | None:
    """The server of `smtp://user:password@host:port?tls=starttls`; None where no mail is sent."""
    given = text(name, "")
    if not given:
        return None
    expected = "smtp://user:password@host:port?tls=starttls (or implicit, or none)"
    try:
        address = urlsplit(given)
        port = address.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} makes no sense, expected {expected}") from None
    tls = address.query.removeprefix("tls=") if address.query else "starttls"
    if (
        address.scheme != "smtp"
        or not address.hostname
        or address.path not in {"", "/"}
        or tls not in {"starttls", "implicit", "none"}
    ):
        # Without what came: it holds a password.
        raise ImproperlyConfigured(f"{name} makes no sense, expected {expected}")
    return MailServer(
        host=unquote(address.hostname),
        port=port or {"starttls": 587, "implicit": 465, "none": 25}[tls],
        user=unquote(address.username or ""),
        password=unquote(address.password or ""),
        tls=tls,
    )


@dataclass(frozen=True)
class IdentityProvider:
    """One that people sign in with by OpenID Connect; `name` stands in addresses and variables."""

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str
    # Whose mail addresses it is believed about; `*` is everybody's.
    domains: tuple[str, ...]
    makes_accounts: bool

    @property
    def id(self) -> str:
        """Identities are kept under the issuer that vouched for them: another one's `sub` is
        somebody else.
        """
        return hashlib.sha256(self.issuer.encode()).hexdigest()[:16]

    def speaks_for(self, address: str) -> bool:
        """Whether an account may be found, or made, by this address because the provider says so."""
        return "*" in self.domains or address.rpartition("@")[2].lower() in self.domains


def identity_providers(name: str) -> dict[str, IdentityProvider]:
    """By their ids, those that the variable names, each with variables of its own."""
    found = [_identity_provider(one) for one in names(name)]
    providers = {provider.id: provider for provider in found}
    if len(providers) < len(found):
        raise ImproperlyConfigured(f"{name} has two providers with one issuer")
    return providers


def _identity_provider(name: str) -> IdentityProvider:
    if not re.fullmatch("[a-z][a-z0-9]*", name):
        raise ImproperlyConfigured(
            f"the identity provider {name!r} is not named by small letters and digits"
        )

    def of(variable: str) -> str:
        return variable.replace("NAME", name.upper(), 1)

    provider = IdentityProvider(
        name=name,
        title=text(of("FLAGSITE_OIDC_NAME_TITLE"), name.capitalize()),
        issuer=text(of("FLAGSITE_OIDC_NAME_ISSUER")).rstrip("/"),
        client_id=text(of("FLAGSITE_OIDC_NAME_CLIENT_ID")),
        client_secret=text(of("FLAGSITE_OIDC_NAME_CLIENT_SECRET")),
        domains=tuple(one.lower() for one in names(of("FLAGSITE_OIDC_NAME_DOMAINS"))),
        makes_accounts=flag(of("FLAGSITE_OIDC_NAME_MAKES_ACCOUNTS"), default=False),
    )
    if provider.makes_accounts and not provider.domains:
        raise ImproperlyConfigured(
            f"{of('FLAGSITE_OIDC_NAME_MAKES_ACCOUNTS')} needs {of('FLAGSITE_OIDC_NAME_DOMAINS')}: "
            "for whom accounts are made"
        )
    return provider


def origin(name: str, default: str) -> str:
    """A scheme and a host, such as `https://flags.example.org`, without a slash at its end."""
    value = text(name, default).rstrip("/")
    address = urlsplit(value)
    if address.scheme not in {"http", "https"} or not address.netloc or address.path:
        raise ImproperlyConfigured(
            f"{name} is {value!r}, expected an origin such as https://flags.example.org"
        )
    return value
