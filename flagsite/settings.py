"""Every setting, read once from the environment; docs/configuration.md describes each variable."""

import sys
from datetime import timedelta
from pathlib import Path

from flagsite import environment as env
from flagsite.logs import refused_in_one_line

BASE_DIR = Path(__file__).resolve().parent.parent
FLAGSITE_HOME = env.path("FLAGSITE_HOME", BASE_DIR / ".flagsite")

# bin/up sets FLAGSITE_DEVELOPMENT=1 on a laptop; production is what remains when nothing is said.
DEVELOPMENT = env.flag("FLAGSITE_DEVELOPMENT", default=False)
DEBUG = False
SECRET_KEY = env.text("FLAGSITE_SECRET_KEY")
ALLOWED_HOSTS = env.names("FLAGSITE_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.names("FLAGSITE_TRUSTED_ORIGINS")

DATABASES = {
    "default": {
        **env.database("DATABASE_URL"),
        # Threads of a web process keep their connection; a dead one is noticed before it is used.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": "3",
    # A database that vanished without a word is noticed in seconds, not in the kernel's minutes.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
    **DATABASES["default"]["OPTIONS"],  # type: ignore[dict-item]
}
REDIS_URL = env.text("REDIS_URL")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "channels",
    "simple_history",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "audit",
    "flags",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "flagsite.content_security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "flags.sign_in.seen.LastSeen",
    "flags.sign_in.required.RequiredSecondFactor",
]
ROOT_URLCONF = "flagsite.urls"
ASGI_APPLICATION = "flagsite.asgi.application"
WSGI_APPLICATION = "flagsite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = FLAGSITE_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if not DEVELOPMENT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEVELOPMENT

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
SIMPLE_HISTORY_HISTORY_CHANGE_REASON_USE_TEXT_FIELD = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Who may sign in -------------------------------------------------------------------------
# Past this, a bypass asks for the second factor again.
SECOND_FACTOR_FRESH = timedelta(minutes=5)
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# People without a second factor are led to enrol one before anything else.
REQUIRE_SECOND_FACTOR = env.flag("FLAGSITE_REQUIRE_SECOND_FACTOR", default=False)
AUTH_USER_MODEL = "flags.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

# django-allauth does the signing in, flags/sign_in says what of it is ours (docs/adr/0007).
ACCOUNT_ADAPTER = "flags.sign_in.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_FORMS = {
    "login": "flags.sign_in.forms.SignInForm",
    "reset_password": "flags.sign_in.forms.ForgottenForm",
}
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
# Mails with a link to a new password: from one address of a visitor, and to one mail address.
# Guesses at a second factor are counted per account; passwords by flags/sign_in/adapters.py.
ACCOUNT_RATE_LIMITS = {
    "reset_password": "20/h/ip,3/h/key",
    "login_failed": "5/5m/key",
    # Of who is signed in: what they give as their password.
    "change_password": "5/m/user",
    "reauthenticate": "10/m/user",
}
# Whoever has a network of IPv6 has all of its addresses.
ALLAUTH_RATE_LIMIT_IPV6_PREFIX = 64
PASSWORD_RESET_TIMEOUT = 60 * 60
ACCOUNT_SESSION_REMEMBER = True
# Addresses are given by site administrators, invitations and identity providers; nobody adds one.
ACCOUNT_EMAIL_VERIFICATION = "none"
# How long a second factor, or the password of who has none, counts as fresh.
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(SECOND_FACTOR_FRESH.total_seconds())
# The address of a visitor is the one that the last of so many proxies of ours was asked from.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("FLAGSITE_TRUSTED_PROXIES", 0)

MFA_ADAPTER = "flags.sign_in.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Flagsite"
# A code of the last half minute or the next one is taken too: people type, and clocks differ.
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "activate_totp": "flags.sign_in.forms.EnrolForm",
    "authenticate": "flags.sign_in.forms.AuthenticateForm",
    "reauthenticate": "flags.sign_in.forms.ReauthenticateForm",
}

# Identity providers by OpenID Connect, by their ids.
OIDC_PROVIDERS = env.identity_providers("FLAGSITE_OIDC_PROVIDERS")
SOCIALACCOUNT_ADAPTER = "flags.sign_in.identities.IdentityAdapter"
# A link rather than a form, which our Content-Security-Policy keeps from leading elsewhere.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": provider.id,
                "name": provider.title,
                "client_id": provider.client_id,
                "secret": provider.client_secret,
                "settings": {"server_url": provider.issuer},
            }
            for provider in OIDC_PROVIDERS.values()
        ],
    }
}

# --- Transport security: on unless this is a laptop ------------------------------------------
FLAGSITE_HTTPS = env.flag("FLAGSITE_HTTPS", default=not DEVELOPMENT)
SECURE_SSL_REDIRECT = FLAGSITE_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = FLAGSITE_HTTPS
CSRF_COOKIE_SECURE = FLAGSITE_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if FLAGSITE_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = FLAGSITE_HTTPS
SECURE_HSTS_PRELOAD = FLAGSITE_HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

# --- Mail ------------------------------------------------------------------------------------
# Where no server is named nothing is mailed; the inbox has every notice all the same.
_MAIL_SERVER = env.mail_server("FLAGSITE_EMAIL_URL")
MAIL_IS_SENT = _MAIL_SERVER is not None
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _MAIL_SERVER else 'dummy'}.EmailBackend"
if _MAIL_SERVER:
    EMAIL_HOST, EMAIL_PORT = _MAIL_SERVER.host, _MAIL_SERVER.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL_SERVER.user, _MAIL_SERVER.password
    EMAIL_USE_TLS = _MAIL_SERVER.tls == "starttls"
    EMAIL_USE_SSL = _MAIL_SERVER.tls == "implicit"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("FLAGSITE_EMAIL_FROM", "flagsite@localhost")
# What the links in mails begin with.
PUBLIC_URL = env.origin("FLAGSITE_URL", "http://localhost:8000")

# --- Events and their effects ----------------------------------------------------------------
# What happens when something changes: for each committed event, each of these is called in order
# of the stream's versions. Outbox rows carry the name, so a name is never changed; the queue says
# which Celery worker runs it.
EVENT_SUBSCRIBERS = {
    "broadcast": {"calls": "flags.websockets.broadcast.send_hint", "queue": "broadcast"},
    "deliveries": {"calls": "flags.live.deliveries.open_delivery", "queue": "default"},
    "drift": {"calls": "flags.changes.drift.look_again", "queue": "default"},
    "notices": {"calls": "flags.notices.telling.tell", "queue": "default"},
    "sign_in_mail": {"calls": "flags.sign_in.mail.send", "queue": "default"},
}
# The key that signs what the streams end at; without one nothing is signed.
SIGNING_KEY = env.signing_key("FLAGSITE_SIGNING_KEY")
# Public keys that signed before the key of now, in hexadecimal.
FORMER_SIGNING_KEYS = env.names("FLAGSITE_FORMER_SIGNING_KEYS")
# Days that events stay in the database before they may be archived; 0 is for ever.
EVENTS_KEPT = timedelta(days=env.integer("FLAGSITE_EVENTS_KEPT_DAYS", 0))
# The folder of the archive's files.
ARCHIVE = env.path("FLAGSITE_ARCHIVE", FLAGSITE_HOME / "archive")
# How often beat looks for outbox rows whose wake-up was lost.
OUTBOX_SWEEP = env.seconds("FLAGSITE_OUTBOX_SWEEP_SECONDS", 2)
# How often requests are looked at: what is due is applied, what nobody answered expires.
REQUEST_SWEEP = env.seconds("FLAGSITE_REQUEST_SWEEP_SECONDS", 2)
# How often the clock looks for steps of ramps and ends of leases that are due.
RELEASE_SWEEP = env.seconds("FLAGSITE_RELEASE_SWEEP_SECONDS", 2)
# How often mails that are due are sent.
MAIL_SWEEP = env.seconds("FLAGSITE_MAIL_SWEEP_SECONDS", 5)
# How long a save may wait for a row that another save holds, before it answers 503.
LOCK_TIMEOUT = env.seconds("FLAGSITE_LOCK_TIMEOUT_SECONDS", 2)
# How often every process compares what it holds with the database, so that a lost hint costs
# seconds, not correctness.
TRUTH_CHECK = env.seconds("FLAGSITE_TRUTH_CHECK_SECONDS", 3)
# SDK keys: how soon a revocation that lost its hint is noticed. The contract is two seconds.
KEY_REFRESH = env.seconds("FLAGSITE_KEY_REFRESH_SECONDS", 1)
# Requests a second that one SDK key may make of one process; 0 is no limit.
RATE_LIMIT_PER_KEY = env.integer("FLAGSITE_RATE_LIMIT_PER_KEY", 0)
# Open websockets of one process; more are told to come back.
MOST_SOCKETS = env.integer("FLAGSITE_MOST_SOCKETS", 20_000, at_least=1)
# Environments whose rulesets one process holds; the ones beyond are read when they are needed.
RULESETS_IN_MEMORY = env.integer("FLAGSITE_RULESETS_IN_MEMORY", 1_000, at_least=1)
# Threads of a web process for pages and the management API; each keeps a database connection.
WEB_THREADS = env.integer("FLAGSITE_WEB_THREADS", 8, at_least=1)

# --- Celery ----------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_ALWAYS_EAGER = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_BEAT_SCHEDULE_FILENAME = str(FLAGSITE_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    f"sweep-outbox-{queue}": {
        "task": "audit.tasks.deliver",
        "schedule": OUTBOX_SWEEP,
        "args": [queue],
        # A sweep that waited longer than this is as good as the next one.
        "options": {"queue": queue, "expires": OUTBOX_SWEEP.total_seconds() * 2},
    }
    for queue in sorted({subscriber["queue"] for subscriber in EVENT_SUBSCRIBERS.values()})
} | {
    # Looks often, signs once a day: a beat that is started anew forgets when it last ran.
    "sign-heads": {
        "task": "audit.tasks.sign_heads",
        "schedule": timedelta(minutes=5),
        "options": {"queue": "default", "expires": 300},
    },
    # Does nothing where events are kept for ever.
    "archive-events": {
        "task": "flags.tasks.archive_events",
        "schedule": timedelta(hours=1),
        "options": {"queue": "default", "expires": 3600},
    },
    "sweep-requests": {
        "task": "flags.tasks.sweep_requests",
        "schedule": REQUEST_SWEEP,
        "options": {"queue": "default", "expires": REQUEST_SWEEP.total_seconds() * 2},
    },
    "sweep-releases": {
        "task": "flags.tasks.sweep_releases",
        "schedule": RELEASE_SWEEP,
        "options": {"queue": "default", "expires": RELEASE_SWEEP.total_seconds() * 2},
    },
    "send-mail": {
        "task": "flags.tasks.send_mail",
        "schedule": MAIL_SWEEP,
        "options": {"queue": "default", "expires": MAIL_SWEEP.total_seconds() * 2},
    },
    "tell-what-expires": {
        "task": "flags.tasks.tell_what_expires",
        "schedule": 300.0,
        "options": {"queue": "default", "expires": 600.0},
    },
    "sweep-tokens": {
        "task": "flags.tasks.sweep_tokens",
        # What it announces is days ahead.
        "schedule": 600,
        "options": {"queue": "default", "expires": 600},
    },
}

# --- Channels --------------------------------------------------------------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2, "socket_timeout": 10}],
            "prefix": "flagsite",
            # Hints are worth nothing after the truth check has run.
            "expiry": 10,
            "capacity": 1000,
        },
    }
}
CACHES = {
    "default": {"BACKEND": "flagsite.tolerant_cache.TolerantCache", "LOCATION": REDIS_URL},
    # For what must not be done at all while the store cannot remember that it was.
    "exact": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL},
}

# --- Management API --------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "flags.management_api.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "flags.management_api.errors.problem_response",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Flagsite management API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # The version whose schemas are plain JSON Schema: the tests validate every answer with them.
    "OAS_VERSION": "3.1.0",
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    # The same roles are members of several bodies, under several names.
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": ["viewer", "editor", "reviewer", "admin"],
        "RampStateEnum": "flags.models.RampState.values",
        "LeaseStateEnum": "flags.models.LeaseState.values",
        "RequestStateEnum": "flags.models.State.values",
        "SdkKeyKindEnum": ["server", "client"],
        "ComingKindEnum": ["request", "ramp_step", "lease_end", "freeze"],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# --- Logs ------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {
        "refused": {"()": "django.utils.log.CallbackFilter", "callback": refused_in_one_line}
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "stream": sys.stderr}
    },
    "loggers": {
        # It names each passkey that is enrolled.
        "fido2": {"level": "WARNING"},
        "django.request": {"filters": ["refused"]},
    },
    "root": {"handlers": ["console"], "level": env.text("FLAGSITE_LOG_LEVEL", "INFO")},
}
