"""The one place that reads the environment: every setting of an installation, checked, with defaults.

`.env.example` lists the variables for people. What must be secret and is not given is made once and
kept in ``SUMMIT_HOME/secrets``, readable by its owner only.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})
_LOG_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
# A guessable key would undo the hashing of end users' ids: 256 bits in hex are 64 characters,
# in base64 43; 32 is the least that can hold 128.
_SHORTEST_SECRET = 32
# Providers of mail, and what each calls its keys.
_PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "brevo": ("api_key",),
    "mailersend": ("api_token",),
    "mailgun": ("api_key",),
    "mailjet": ("api_key", "secret_key"),
    "postmark": ("server_token",),
    "resend": ("api_key",),
    "sendgrid": ("api_key",),
    "sparkpost": ("api_key",),
}


class EnvironmentFault(ValueError):
    """A variable that cannot be used; the message names it, the fault and the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """How mail leaves: by a server, by a provider's API, or into a folder.

    `options` are the provider's, as django-anymail names them. `documents`: whether issued documents are
    mailed; not so where EMAIL_URL is left out.
    """

    documents: bool
    folder: str  # where messages are written when there is neither host nor provider
    provider: str
    options: Mapping[str, str] = field(repr=False)
    webhook_secret: str = field(repr=False)
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    starttls: bool
    tls: bool
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What differs between installations."""

    home: Path  # state folder: embedded servers, secrets, logs
    database_url: str = field(repr=False)  # the owner's; empty: the embedded PostgreSQL
    broker_url: str = field(repr=False)  # empty: `make run` starts the embedded broker

    host: str  # where `make run` listens
    port: int
    public_url: str  # as people reach it, without a slash at the end
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    https_only: bool  # cookies and redirects insist on HTTPS
    behind_proxy: bool  # the X-Forwarded-Proto header is set by a trusted proxy

    debug: bool
    log_level: str
    secret_key: str = field(repr=False)
    hash_key: str = field(repr=False)  # keys the hashes that stand for end users' ids

    stripe_secret_key: str = field(
        repr=False
    )  # empty: no card payments, or the local stand-in under `make run`
    stripe_publishable_key: str
    stripe_api_base: str  # empty: Stripe itself
    stripe_webhook_secret: str = field(repr=False)

    fapiao_api_base: str  # empty: no fapiao, or the local stand-in under `make run`
    fapiao_api_key: str = field(repr=False)

    mail: Mail
    wants_demo: bool  # `make run` fills a new database with the demo world


def load(*, environ: Mapping[str, str] | None = None) -> Environment:
    """Read and check the environment; makes missing secrets.

    Raises EnvironmentFault for a value that cannot be used.
    """
    values = os.environ if environ is None else environ
    home = home_folder(environ=values)
    host = values.get("HOST", "").strip() or "127.0.0.1"
    port = _port(values)
    public_url = (
        values.get("PUBLIC_URL", "").strip().rstrip("/") or f"http://{_in_url(host)}:{port}"
    )
    public = urlsplit(public_url)
    if public.scheme not in {"http", "https"} or not public.hostname:
        raise EnvironmentFault(f"PUBLIC_URL is {public_url!r}: use https://summit.example.com")
    hosts = {"localhost", "127.0.0.1", "[::1]", _in_url(public.hostname)}
    return Environment(
        home=home,
        database_url=_url(values, "DATABASE_URL", schemes={"postgres", "postgresql"}),
        broker_url=_url(values, "BROKER_URL", schemes=None),
        host=host,
        port=port,
        public_url=public_url,
        allowed_hosts=_list(values, "ALLOWED_HOSTS") or tuple(sorted(hosts)),
        csrf_trusted_origins=_list(values, "CSRF_TRUSTED_ORIGINS")
        or ((public_url,) if public.scheme == "https" else ()),
        https_only=_flag(values, "HTTPS_ONLY", default=public.scheme == "https"),
        behind_proxy=_flag(values, "BEHIND_PROXY"),
        debug=_flag(values, "DEBUG"),
        log_level=_log_level(values),
        secret_key=_secret(values, "SECRET_KEY", home=home, shortest=1),
        hash_key=_secret(values, "SUMMIT_HASH_KEY", home=home),
        stripe_secret_key=values.get("STRIPE_SECRET_KEY", "").strip(),
        stripe_publishable_key=values.get("STRIPE_PUBLISHABLE_KEY", "").strip(),
        stripe_api_base=_url(values, "STRIPE_API_BASE", schemes={"http", "https"}).rstrip("/"),
        stripe_webhook_secret=_secret(
            values, "STRIPE_WEBHOOK_SECRET", home=home, prefix="whsec_", shortest=1
        ),
        fapiao_api_base=_url(values, "FAPIAO_API_BASE", schemes={"http", "https"}).rstrip("/"),
        fapiao_api_key=values.get("FAPIAO_API_KEY", "").strip(),
        mail=_mail(values, home=home),
        wants_demo=_wants_demo(values),
    )


def home_folder(*, environ: Mapping[str, str] | None = None) -> Path:
    """The state folder of this installation, absolute; ``.summit`` in the checkout by default."""
    values = os.environ if environ is None else environ
    named = values.get("SUMMIT_HOME", "").strip()
    return (CHECKOUT / (Path(named).expanduser() if named else ".summit")).resolve()


def is_test_cluster(*, environ: Mapping[str, str] | None = None) -> bool:
    """May the embedded PostgreSQL lose data in a power failure? Raises EnvironmentFault."""
    return _flag(os.environ if environ is None else environ, "SUMMIT_TEST_CLUSTER")


def _port(values: Mapping[str, str]) -> int:
    text = values.get("PORT", "").strip() or "8000"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise EnvironmentFault(f"PORT is {text!r}: use a number from 1 to 65535, such as 8000")
    return int(text)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _flag(values: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    if name not in values:
        return default
    text = values[name].strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise EnvironmentFault(f"{name} is {values[name]!r}: use 1 or 0")


def _list(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", values.get(name, "")) if part)


def _log_level(values: Mapping[str, str]) -> str:
    level = values.get("LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in _LOG_LEVELS:
        raise EnvironmentFault(
            f"LOG_LEVEL is {level!r}: use one of {', '.join(sorted(_LOG_LEVELS))}"
        )
    return level


def _wants_demo(values: Mapping[str, str]) -> bool:
    choice = values.get("SEED", "").strip() or "demo"
    if choice not in {"demo", "none"}:
        raise EnvironmentFault(f"SEED is {choice!r}: use demo or none")
    return choice == "demo"


def _url(values: Mapping[str, str], name: str, *, schemes: set[str] | None) -> str:
    """A URL or "". Its text never appears in a message: it may hold a password."""
    url = values.get(name, "").strip()
    if url and schemes is not None and urlsplit(url).scheme not in schemes:
        expected = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
        raise EnvironmentFault(f"{name} must begin with {expected}")
    return url


def _mail(values: Mapping[str, str], *, home: Path) -> Mail:
    """``EMAIL_URL`` as ``smtp[s]://user:password@host:port/?starttls=1``, ``postmark://token@`` and the like,
    or ``file:///folder``; ``MAIL_FROM``; what a provider must say to be believed."""
    url = urlsplit(_url(values, "EMAIL_URL", schemes={"smtp", "smtps", "file", *_PROVIDERS}))
    options = dict(parse_qsl(url.query))
    tls = url.scheme == "smtps"
    starttls = options.get("starttls", "0").lower() in _YES
    provider = url.scheme if url.scheme in _PROVIDERS else ""
    if tls or url.scheme == "smtp":
        if not url.hostname:
            raise EnvironmentFault(
                "EMAIL_URL has no host: use smtp://user:password@mail.example.com:587"
            )
    elif provider and not url.username:
        raise EnvironmentFault(f"EMAIL_URL has no key: use {provider}://KEY@")
    try:
        port = url.port or (465 if tls else 587 if starttls else 25)
    except ValueError as error:
        raise EnvironmentFault("EMAIL_URL has a port that is not a number up to 65535") from error
    return Mail(
        documents=bool(url.scheme),
        folder=unquote(url.path) if url.scheme == "file" else str(home / "mail"),
        provider=provider,
        options=_provider_options(provider, url, options) if provider else {},
        webhook_secret=_secret(values, "MAIL_WEBHOOK_SECRET", home=home, prefix="mail:")
        if provider
        else values.get("MAIL_WEBHOOK_SECRET", "").strip(),
        host="" if provider else url.hostname or "",
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        starttls=starttls and not tls,
        tls=tls,
        sender=values.get("MAIL_FROM", "").strip() or "Summit <summit@localhost>",
    )


def _provider_options(
    provider: str, url: SplitResult, options: Mapping[str, str]
) -> dict[str, str]:
    """Keys before the @, the rest as the address's query says: ``mailgun://KEY@?sender_domain=m.example.com``."""
    keys = zip(_PROVIDERS[provider], (url.username, url.password), strict=False)
    given = {**{name: unquote(key or "") for name, key in keys}, **options}
    return {f"{provider}_{name}".upper(): value for name, value in given.items() if value}


def _secret(
    values: Mapping[str, str],
    name: str,
    *,
    home: Path,
    prefix: str = "",
    shortest: int = _SHORTEST_SECRET,
) -> str:
    """The variable, or what ``SUMMIT_HOME/secrets`` keeps under its name, made now if need be."""
    given = values.get(name, "").strip()
    if given:
        if len(given) < shortest:
            raise EnvironmentFault(
                f"{name} is too short: use at least {shortest} random characters"
            )
        return given
    kept = home / "secrets" / name.lower()
    try:
        return kept_secret(kept, prefix=prefix)
    except OSError as error:
        raise EnvironmentFault(
            f"{name} is not set and cannot be kept in {kept} ({error.strerror}):"
            " set it, or set SUMMIT_HOME to a folder that can be written"
        ) from error


def kept_secret(path: Path, *, prefix: str = "") -> str:
    """The secret in the file `path` (mode 0600), made of 384 random bits at the first call.

    Two processes at once get the same one: the first link wins. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(prefix + secrets.token_hex(48))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")
