"""Addresses of the websockets."""

from django.urls import path

from flags.websockets.rulesets import RulesetSocket

urlpatterns = [
    path("ws/v1/ruleset", RulesetSocket.as_asgi()),
]
