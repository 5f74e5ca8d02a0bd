"""Django's settings. What differs between installations comes from `config.environment` alone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from config import environment
from ui import settings as ui

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = environment.load()

SUMMIT_HOME = ENVIRONMENT.home
PUBLIC_URL = ENVIRONMENT.public_url
DATABASE_URL = ENVIRONMENT.database_url
BROKER_URL = ENVIRONMENT.broker_url
SECRET_KEY = ENVIRONMENT.secret_key
SUMMIT_HASH_KEY = ENVIRONMENT.hash_key
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.csrf_trusted_origins)

STRIPE_SECRET_KEY = ENVIRONMENT.stripe_secret_key
STRIPE_PUBLISHABLE_KEY = ENVIRONMENT.stripe_publishable_key
STRIPE_API_BASE = ENVIRONMENT.stripe_api_base
STRIPE_WEBHOOK_SECRET = ENVIRONMENT.stripe_webhook_secret
FAPIAO_API_BASE = ENVIRONMENT.fapiao_api_base
FAPIAO_API_KEY = ENVIRONMENT.fapiao_api_key

# Everything that pages need (sessions, sign-in, static files, content policy, languages) is told by
# `ui.settings`; what follows adds to it.
globals().update({name: getattr(ui, name) for name in dir(ui) if name.isupper()})

INSTALLED_APPS = [
    *ui.INSTALLED_APPS,
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "config",
    "work",
    "tenants",
    "metering",
    "billing",
    "console",
    "portal",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

_DATABASE: dict[str, Any] = {
    "ENGINE": "config.postgres",
    "NAME": "",
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "DISABLE_SERVER_SIDE_CURSORS": True,
    "ATOMIC_REQUESTS": False,
}
DATABASES = {
    "default": {**_DATABASE},
    "jobs": {**_DATABASE},
    "owner": {**_DATABASE, "CONN_MAX_AGE": 0},
}
CACHES = {
    "default": {
        # Limits of tries hold for all web processes together, also after a restart; each is taken
        # under a lock, so that tries at once are counted one by one.
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "tenants_shared_memory",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
DATABASE_ROUTERS = ["work.connections.ScopeRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SUMMIT_ENSURE_DATABASE = "config.database.ensure_ready"
SUMMIT_CELERY_APP = "config.celery.app"
SUMMIT_SUBSCRIBE_IMPORTED = "billing.subscriptions.services.subscribe_imported"

AUTH_USER_MODEL = "tenants.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Staff enrol a second factor before the console opens, wherever the service is really exposed.
SUMMIT_REQUIRE_STAFF_MFA = ENVIRONMENT.https_only

EMAIL_BACKEND = (
    f"anymail.backends.{ENVIRONMENT.mail.provider}.EmailBackend"
    if ENVIRONMENT.mail.provider
    else "django.core.mail.backends.smtp.EmailBackend"
    if ENVIRONMENT.mail.host
    else "django.core.mail.backends.filebased.EmailBackend"
)
EMAIL_FILE_PATH = ENVIRONMENT.mail.folder
MAIL_DOCUMENTS = ENVIRONMENT.mail.documents
MAIL_PROVIDER = ENVIRONMENT.mail.provider
ANYMAIL = {
    **ENVIRONMENT.mail.options,
    "WEBHOOK_SECRET": [each for each in ENVIRONMENT.mail.webhook_secret.split(",") if each],
    "REQUESTS_TIMEOUT": 10,
}
EMAIL_HOST = ENVIRONMENT.mail.host
EMAIL_PORT = ENVIRONMENT.mail.port
EMAIL_HOST_USER = ENVIRONMENT.mail.user
EMAIL_HOST_PASSWORD = ENVIRONMENT.mail.password
EMAIL_USE_TLS = ENVIRONMENT.mail.starttls
EMAIL_USE_SSL = ENVIRONMENT.mail.tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENVIRONMENT.mail.sender

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_SECURE = ENVIRONMENT.https_only
CSRF_COOKIE_SECURE = ENVIRONMENT.https_only
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if ENVIRONMENT.https_only else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.behind_proxy else None
X_FRAME_OPTIONS = "DENY"
# Our own proxy names the client last in X-Forwarded-For; without it the header is anybody's word.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if ENVIRONMENT.behind_proxy else 0

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.api.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tenants.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Summit API",
    "DESCRIPTION": "Metering and billing of a messaging platform's tenants.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1/",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level},
}
