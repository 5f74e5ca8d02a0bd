"""The environment: defaults, what is refused and in which words, secrets that are made once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config import environment
from config.environment import CHECKOUT, Environment, EnvironmentFault


def _load(home: Path, **values: str) -> Environment:
    return environment.load(environ={"SUMMIT_HOME": str(home), **values})


def test_defaults_serve_this_machine_alone(tmp_path: Path) -> None:
    loaded = _load(tmp_path)
    assert (loaded.host, loaded.port, loaded.public_url) == (
        "127.0.0.1",
        8000,
        "http://127.0.0.1:8000",
    )
    assert set(loaded.allowed_hosts) == {"127.0.0.1", "localhost", "[::1]"}
    assert not loaded.debug
    assert not loaded.https_only
    assert loaded.database_url == loaded.broker_url == loaded.stripe_secret_key == ""
    assert loaded.mail.host == ""


def test_state_folder_is_absolute_and_counts_from_the_checkout() -> None:
    assert environment.home_folder(environ={}) == CHECKOUT / ".summit"
    assert environment.home_folder(environ={"SUMMIT_HOME": "other"}) == CHECKOUT / "other"
    assert environment.home_folder(environ={"SUMMIT_HOME": "/srv/summit"}) == Path("/srv/summit")


def test_public_address_decides_hosts_and_https(tmp_path: Path) -> None:
    loaded = _load(tmp_path, PUBLIC_URL="https://summit.example.com/")
    assert loaded.public_url == "https://summit.example.com"
    assert "summit.example.com" in loaded.allowed_hosts
    assert loaded.csrf_trusted_origins == ("https://summit.example.com",)
    assert loaded.https_only


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "eighty", "PORT is 'eighty': use a number from 1 to 65535"),
        ("PORT", "70000", "PORT is '70000'"),
        ("PORT", "-1", "PORT is '-1'"),
        ("PORT", "²", "PORT is '²'"),
        ("DEBUG", "maybe", "DEBUG is 'maybe': use 1 or 0"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD': use one of CRITICAL"),
        ("DATABASE_URL", "mysql://a:secret@b/c", "DATABASE_URL must begin with postgres://"),
        ("EMAIL_URL", "smtp://", "EMAIL_URL has no host"),
        ("EMAIL_URL", "postmark://", "EMAIL_URL has no key: use postmark://KEY@"),
        ("EMAIL_URL", "pigeon://mail.example.com", "EMAIL_URL must begin with brevo://"),
        ("EMAIL_URL", "smtp://mail.example.com:x", "EMAIL_URL has a port"),
        ("PUBLIC_URL", "summit.example.com", "PUBLIC_URL is 'summit.example.com'"),
        ("SUMMIT_HASH_KEY", "short", "SUMMIT_HASH_KEY is too short"),
        ("SEED", "all", "SEED is 'all': use demo or none"),
    ],
)
def test_wrong_value_is_refused_with_its_name_and_the_mend(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    with pytest.raises(EnvironmentFault) as refusal:
        _load(tmp_path, **{name: value})
    assert message in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_mail_server_from_its_url(tmp_path: Path) -> None:
    mail = _load(
        tmp_path, EMAIL_URL="smtp://ops%40example.com:p%2Fw@mail.example.com:2525/?starttls=1"
    ).mail
    assert (mail.host, mail.port, mail.user, mail.password) == (
        "mail.example.com",
        2525,
        "ops@example.com",
        "p/w",
    )
    assert mail.starttls
    assert not mail.tls
    assert _load(tmp_path, EMAIL_URL="smtps://mail.example.com").mail.port == 465


def test_a_provider_of_mail_from_its_url(tmp_path: Path) -> None:
    mail = _load(tmp_path, EMAIL_URL="mailgun://key%2F1@?sender_domain=m.example.com").mail
    assert (mail.provider, mail.host, mail.documents) == ("mailgun", "", True)
    assert mail.options == {"MAILGUN_API_KEY": "key/1", "MAILGUN_SENDER_DOMAIN": "m.example.com"}
    assert mail.webhook_secret.startswith("mail:")
    assert _load(tmp_path, EMAIL_URL="mailjet://k:s@").mail.options == {
        "MAILJET_API_KEY": "k",
        "MAILJET_SECRET_KEY": "s",
    }


def test_documents_are_mailed_where_it_is_said_how(tmp_path: Path) -> None:
    silent = _load(tmp_path).mail
    assert (silent.documents, silent.folder) == (False, str(tmp_path / "mail"))
    folder = _load(tmp_path, EMAIL_URL="file:///var/mail%20out").mail
    assert (folder.documents, folder.folder, folder.host) == (True, "/var/mail out", "")


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first, second = _load(tmp_path), _load(tmp_path)
    assert first.secret_key == second.secret_key
    assert first.hash_key == second.hash_key
    assert len({first.secret_key, first.hash_key, first.stripe_webhook_secret}) == 3
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    for kept in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_given_secrets_are_not_kept(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path, SECRET_KEY="s" * 50, SUMMIT_HASH_KEY="h" * 32, STRIPE_WEBHOOK_SECRET="whsec_w"
    )
    assert loaded.secret_key == "s" * 50
    assert not (tmp_path / "secrets").exists()


def test_processes_that_start_at_once_agree_on_a_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: environment.kept_secret(tmp_path / "key"), range(40)))
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_secrets_do_not_appear_when_printed(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        DATABASE_URL="postgresql://a:hidden1@h/d",
        BROKER_URL="redis://:hidden2@h",
        STRIPE_SECRET_KEY="sk_hidden3",
        EMAIL_URL="smtp://u:hidden4@h",
    )
    shown = repr(loaded)
    assert "hidden" not in shown
    assert loaded.secret_key not in shown


def test_folder_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="SECRET_KEY is not set and cannot be kept"):
        _load(tmp_path / "file")
