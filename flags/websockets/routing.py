"""Addresses of the websockets."""

from django.urls import path

from flags.websockets.evaluations import EvaluationSocket
from flags.websockets.pages import PageSocket
from flags.websockets.rulesets import RulesetSocket

urlpatterns = [
    path("ws/v1/ruleset", RulesetSocket.as_asgi()),
    path("ws/v1/evaluations", EvaluationSocket.as_asgi()),
    path("ws/live", PageSocket.as_asgi()),
]
