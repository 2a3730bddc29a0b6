"""Accounts: people who sign in, and the services of a project, which never do."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from audit.facts import Actor


class User(AbstractUser):
    """An account; Django's, and what its person wants to be told how."""

    notices_by_mail = models.BooleanField(default=True, db_default=True)

    # The project whose service account it is; None for a person.
    service_of = models.ForeignKey(
        "flags.Project", on_delete=models.CASCADE, null=True, blank=True, related_name="services"
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            # "!" begins a password that no text matches; without an address no mail lets it in.
            models.CheckConstraint(
                name="flags_user_service_never_signs_in",
                condition=Q(service_of=None)
                | Q(password__startswith="!", email="", is_superuser=False, is_staff=False),  # noqa: S106
            )
        ]

    @property
    def is_service(self) -> bool:
        return self.service_of_id is not None

    def as_actor(self) -> Actor:
        return Actor(
            kind="service" if self.is_service else "person",
            id=str(self.pk),
            name=self.get_username(),
        )
