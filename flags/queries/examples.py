"""A flag to show in an example. One query."""

from flags.models import Flag, Project


def boolean_flag_for_example(project: Project) -> str | None:
    """The key of the boolean flag that was changed last; None when the project has none."""
    flags = Flag.objects.filter(project=project, type="boolean", archived_at=None)
    return flags.order_by("-changed_at", "key").values_list("key", flat=True).first()
