"""Connect an app: a key, a few lines to copy, and the sight of it connecting."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from flags.dashboard.settings import new_key
from flags.dashboard.shell import Shell, project_page
from flags.models import Environment
from flags.models.secrets import Secret
from flags.queries.connections import connections_of, deliveries_in, is_connected
from flags.queries.examples import boolean_flag_for_example

# In place of a secret that the page does not hold: SDK keys are shown once, when they are made.
PLACEHOLDER = "YOUR_SERVER_KEY"
EXAMPLE_FLAG = "new-checkout"

PYTHON = """\
# flagclient comes with Flagsite: pip install . in its checkout
from flagclient import FlagClient

flags = FlagClient("{address}", "{key}")
flags.wait_until_ready(timeout=5)

if flags.boolean("{flag}", False, {{"targetingKey": "user-1"}}):
    print("{flag} is on for user-1")
else:
    print("{flag} is off for user-1")
"""
OPENFEATURE = """\
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

api.set_provider(
    OFREPProvider(
        "{address}",
        headers_factory=lambda: {{"Authorization": "Bearer {key}"}},
    )
)
client = api.get_client()
print(client.get_boolean_value("{flag}", False, EvaluationContext("user-1")))
"""
CURL = """\
curl -X POST {address}/ofrep/v1/evaluate/flags/{flag} \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"context": {{"targetingKey": "user-1"}}}}'
"""
LANGUAGES = (
    ("python", "Python SDK", "Evaluates in your process and is pushed every change.", PYTHON),
    (
        "openfeature",
        "OpenFeature in Python, over OFREP",
        "The standard API with any OFREP provider: pip install openfeature-provider-ofrep",
        OPENFEATURE,
    ),
    ("curl", "curl", "One HTTP request an evaluation, from anything that can make one.", CURL),
)


@require_GET
@project_page("connect")
def connect(request: HttpRequest, shell: Shell) -> HttpResponse:
    """The way in for an app, for the environment in `?environment=`."""
    if not shell.environments:
        return render(request, "dashboard/connect/no_environment.html", {"shell": shell})
    environment = shell.environment(request.GET.get("environment") or None)
    return _page(request, shell, environment, secret=None)


@require_POST
@never_cache
@project_page("connect")
def create_key(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """Make a server key in place; the lines to copy then hold it, this once."""
    found = shell.environment(environment)
    secret = new_key(shell, found, "server", request.POST.get("name", "").strip())
    return _page(request, shell, found, secret=secret)


@require_GET
@project_page("connect")
def connections(request: HttpRequest, shell: Shell, environment: str) -> HttpResponse:
    """Who is connected and which versions arrived: the part of the page that is asked for again."""
    found = shell.environment(environment)
    context = {"shell": shell, "environment": found, **_connected(found)}
    return render(request, "dashboard/parts/_connections.html", context)


def _page(
    request: HttpRequest, shell: Shell, environment: Environment, *, secret: Secret | None
) -> HttpResponse:
    flag = boolean_flag_for_example(shell.project) or EXAMPLE_FLAG
    fills = {
        "address": request.build_absolute_uri("/").rstrip("/"),
        "key": secret.text if secret else PLACEHOLDER,
        "flag": flag,
    }
    context = {
        "shell": shell,
        "environment": environment,
        "refusal": shell.administer_refusal_in(environment),
        "secret": secret,
        "placeholder": PLACEHOLDER,
        "flag": flag,
        "languages": [
            {"id": id_, "name": name, "about": about, "lines": lines.format(**fills)}
            for id_, name, about, lines in LANGUAGES
        ],
        **_connected(environment),
    }
    return render(request, "dashboard/connect/connect.html", context)


def _connected(environment: Environment) -> dict[str, Any]:
    now = timezone.now()
    found = connections_of(environment, now=now)
    return {
        "connections": found,
        "instances": [
            {
                "instance": instance,
                "is_connected": is_connected(instance, now=now),
                "is_behind": instance.version is None or instance.version < found.version,
            }
            for instance in found.instances
        ],
        "deliveries": deliveries_in(environment),
    }
