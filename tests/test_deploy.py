"""deploy/compose.yaml, held against the settings: it cannot be run here."""

from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from tests.test_documentation import ROOT, is_variable, variables_read

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HOME = "/var/lib/flagsite"


def test_it_sets_nothing_that_is_not_read():
    given = SERVICES["web"]["environment"]

    assert {name for name in given if is_variable(name)} == set(given)
    assert set(given) <= variables_read()


def test_every_queue_has_its_worker_and_beat_runs_once():
    commands = [str(service.get("command", "")) for service in SERVICES.values()]

    queues = {subscriber["queue"] for subscriber in settings.EVENT_SUBSCRIBERS.values()}
    for queue in queues | {
        row["options"]["queue"] for row in settings.CELERY_BEAT_SCHEDULE.values()
    }:
        assert len([one for one in commands if one.endswith(f"--queues {queue}")]) == 1
    assert len([one for one in commands if " beat " in one]) == 1


def test_what_must_outlive_a_container_is_in_a_volume():
    archive = Path(HOME, "archive")
    for name in ("web", "worker"):
        assert f"archive:{archive}" in SERVICES[name]["volumes"]
    named = {
        volume.partition(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())
    }
    assert named == set(COMPOSE["volumes"])
    # A volume belongs to the user of the image only where the folder was there.
    assert f"mkdir {archive} {HOME}/rulesets" in (ROOT / "deploy" / "Dockerfile").read_text()
