"""The members page: exceptions in single environments, and services with their tokens."""

import pytest

from flags.models import ApiToken, EnvironmentRole, User

pytestmark = pytest.mark.django_db
PAGE = "/p/shop/settings/members"


def test_an_admin_gives_an_exception_and_makes_a_service(project, users, client):
    client.force_login(users["admin"])

    given = client.post(
        PAGE,
        {"username": "editor", "role": "editor", "role-in-production": "viewer"},
        follow=True,
    )
    client.post("/p/shop/settings/services", {"name": "deployer", "service_role": "editor"})
    made = client.post(
        "/p/shop/settings/services/tokens",
        {"service": "deployer", "scopes": ["read", "propose"], "lifetime": "90"},
    )
    page = client.get(PAGE).content.decode()

    assert EnvironmentRole.objects.get().role == "viewer"
    assert "editor is editor, viewer in Production" in given.content.decode()
    assert User.objects.get(username="deployer@shop").is_service
    token = ApiToken.objects.get()
    assert f"{token.public_id}_" in made.content.decode()
    assert f"{token.public_id}_" not in page
    assert "production: viewer" in page
    client.post(f"/p/shop/settings/services/tokens/{token.public_id}/revoke")
    client.post("/p/shop/settings/services/remove", {"name": "deployer"})
    assert not User.objects.get(username="deployer@shop").is_active


def test_others_see_roles_and_no_forms(project, users, client):
    client.force_login(users["viewer"])

    page = client.get(PAGE).content.decode()

    assert "Make the service" not in page
    assert (
        client.post("/p/shop/settings/services", {"name": "x", "service_role": "admin"}).status_code
        == 403
    )
