"""People who sign in."""

from django.contrib.auth.models import AbstractUser

from audit.facts import Actor


class User(AbstractUser):
    """A person's account; Django's, with room to grow."""

    def as_actor(self) -> Actor:
        return Actor(kind="person", id=str(self.pk), name=self.get_username())
