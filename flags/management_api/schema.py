"""The OpenAPI document, and what is at no address."""

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from flags.management_api.base import ManagementView


class Schema(SpectacularAPIView):
    """Open to everybody: it describes this software, not what is in it."""

    authentication_classes = []
    permission_classes = []


@extend_schema(exclude=True)
class NoSuchAddress(ManagementView):
    """Answers with a problem document where Django would answer with a page."""

    permission_classes = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("there is nothing at this address")
