import base64
import os
import stat
import subprocess
import sys

import pytest

from flagsite.embedded import home as data_folder
from flagsite.embedded.errors import CannotStart
from flagsite.environment import left_by_up


def test_a_second_holder_is_refused_with_the_number_of_the_first(home):
    with data_folder.locked(home):
        attempt = (
            "import sys; from pathlib import Path; from flagsite.embedded.home import locked\n"
            "with locked(Path(sys.argv[1])): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", attempt, home], capture_output=True, text=True
        )

    assert f"already runs on {home} (process {os.getpid()})" in second.stderr


def test_a_folder_that_cannot_be_made_is_named(home):
    (home / "file").write_text("in the way")

    with pytest.raises(CannotStart, match=f"{home}/file/data cannot be written"):
        data_folder.open_home(home / "file" / "data")


def test_a_full_disk_is_named(home, monkeypatch):
    monkeypatch.setattr(data_folder, "ROOM_BYTES", 2**80)

    with pytest.raises(CannotStart, match="is full"):
        data_folder.open_home(home)


def test_the_secret_key_is_made_once_and_private(home):
    first = data_folder.secret_key(home)

    assert data_folder.secret_key(home) == first
    assert len(first) >= 50
    assert stat.S_IMODE((home / "secret-key").stat().st_mode) == 0o600


def test_the_signing_key_is_made_once_and_private(home):
    first = data_folder.signing_key(home)

    assert data_folder.signing_key(home) == first
    assert len(base64.b64decode(first, validate=True)) == 32
    assert stat.S_IMODE((home / "signing-key").stat().st_mode) == 0o600


def test_other_shells_are_told_the_variables_while_it_runs(home):
    told = {"FLAGSITE_HOSTS": "a b'c$d", "DATABASE_URL": "postgresql://u:p@h:1/d?a=b#c"}

    with data_folder.announced(home, told):
        assert left_by_up(home) == told
        assert stat.S_IMODE((home / "environment").stat().st_mode) == 0o600

    assert left_by_up(home) == {}
