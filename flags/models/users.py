"""People who sign in."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from audit.facts import Actor


class User(AbstractUser):
    """A person's account; Django's, and what they want to be told how."""

    notices_by_mail = models.BooleanField(default=True, db_default=True)

    def as_actor(self) -> Actor:
        return Actor(kind="person", id=str(self.pk), name=self.get_username())
