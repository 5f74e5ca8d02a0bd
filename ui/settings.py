"""The settings that pages need, as plain constants that `config.settings` imports.

Nothing here reads the environment or the database.
"""

from pathlib import Path
from typing import Any, Final

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

_ROOT: Final = Path(__file__).resolve().parent.parent

# Besides Django's own; `ui` comes before allauth, so that its templates win.
INSTALLED_APPS: Final = [
    "ui",
    "django_htmx",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
]

MIDDLEWARE: Final = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "tenants.api.bodies.leave_a_thread",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "ui.addresses.refuse_unstorable",
]

TEMPLATES: Final[list[dict[str, Any]]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ui.preferences.context",
            ],
        },
    }
]

LANGUAGE_CODE: Final = "en"
LANGUAGES: Final = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS: Final = [_ROOT / "locale"]

CONTENT_SECURITY_POLICY: Final[dict[str, Any]] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL: Final = "/static/"
# Filled by `manage.py collectstatic` at set-up: hashed names, with gzip and Brotli beside each file.
STATIC_ROOT: Final = _ROOT / ".staticfiles"
STATICFILES_FINDERS: Final = ["django.contrib.staticfiles.finders.AppDirectoriesFinder"]
STORAGES: Final[dict[str, dict[str, Any]]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LANGUAGE_COOKIE_NAME: Final = "summit_language"
LANGUAGE_COOKIE_SAMESITE: Final = "Lax"
LANGUAGE_COOKIE_AGE: Final = 365 * 24 * 3600

MESSAGE_STORAGE: Final = "django.contrib.messages.storage.session.SessionStorage"
CSRF_FAILURE_VIEW: Final = "ui.errors.csrf_failure"

AUTHENTICATION_BACKENDS: Final = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL: Final = "account_login"
LOGIN_REDIRECT_URL: Final = "/"
ACCOUNT_ADAPTER: Final = "ui.sign_in.SignInAdapter"
ACCOUNT_LOGIN_METHODS: Final = {"email"}
ACCOUNT_SIGNUP_FIELDS: Final = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD: Final = None
ACCOUNT_USER_DISPLAY: Final = "ui.sign_in.shown_name"
# People are invited by the operator or by a tenant's owner, who vouch for the address.
ACCOUNT_EMAIL_VERIFICATION: Final = "none"
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE: Final = True
ACCOUNT_LOGOUT_REDIRECT_URL: Final = "/accounts/login/"
ACCOUNT_PREVENT_ENUMERATION: Final = True
ACCOUNT_EMAIL_SUBJECT_PREFIX: Final = ""
ACCOUNT_REAUTHENTICATION_TIMEOUT: Final = 300
# Failures, for an address of the network and for an account; what isn't named is as allauth has it.
ACCOUNT_RATE_LIMITS: Final = {"login_failed": "10/m/ip,5/5m/key,20/h/key"}
ACCOUNT_SESSION_REMEMBER: Final = False
MFA_SUPPORTED_TYPES: Final = ["totp", "recovery_codes"]
# As with passwords: whoever invited the person vouched for the address.
MFA_ALLOW_UNVERIFIED_EMAIL: Final = True
MFA_TOTP_ISSUER: Final = "Summit"
MFA_RECOVERY_CODE_COUNT: Final = 10

EXPORTED: Final = (
    "CONTENT_SECURITY_POLICY",
    "STATIC_URL",
    "STATIC_ROOT",
    "STATICFILES_FINDERS",
    "STORAGES",
    "LANGUAGE_COOKIE_NAME",
    "LANGUAGE_COOKIE_SAMESITE",
    "LANGUAGE_COOKIE_AGE",
    "MESSAGE_STORAGE",
    "CSRF_FAILURE_VIEW",
    "AUTHENTICATION_BACKENDS",
    "LOGIN_URL",
    "LOGIN_REDIRECT_URL",
    "ACCOUNT_ADAPTER",
    "ACCOUNT_LOGIN_METHODS",
    "ACCOUNT_SIGNUP_FIELDS",
    "ACCOUNT_USER_MODEL_USERNAME_FIELD",
    "ACCOUNT_USER_DISPLAY",
    "ACCOUNT_EMAIL_VERIFICATION",
    "ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE",
    "ACCOUNT_LOGOUT_REDIRECT_URL",
    "ACCOUNT_PREVENT_ENUMERATION",
    "ACCOUNT_EMAIL_SUBJECT_PREFIX",
    "ACCOUNT_REAUTHENTICATION_TIMEOUT",
    "ACCOUNT_RATE_LIMITS",
    "ACCOUNT_SESSION_REMEMBER",
    "MFA_SUPPORTED_TYPES",
    "MFA_ALLOW_UNVERIFIED_EMAIL",
    "MFA_TOTP_ISSUER",
    "MFA_RECOVERY_CODE_COUNT",
)
"""The settings that `config.settings` takes over under their own names."""
