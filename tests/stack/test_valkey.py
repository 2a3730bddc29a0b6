import stat
import subprocess

import pytest
import redis

from flagsite.embedded.valkey import start_valkey


@pytest.fixture
def valkey(home):
    started = start_valkey(home)
    yield started
    started.stop()


def test_nobody_enters_without_the_password(valkey):
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=valkey.port).ping()


def test_the_password_is_in_private_files_and_on_no_command_line(valkey, home):
    everybody = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True).stdout

    assert str(home) in everybody
    assert valkey.password not in everybody
    assert stat.S_IMODE((home / "valkey.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "valkey" / "valkey.conf").stat().st_mode) == 0o600


def test_a_second_start_has_the_same_address(valkey, home):
    valkey.stop()

    again = start_valkey(home)
    again.stop()

    assert again.url == valkey.url
