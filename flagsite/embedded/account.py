"""The unprivileged account PostgreSQL runs as when Flagsite itself runs as root."""

import os
import pwd
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from flagsite.embedded.errors import CannotStart

# Where root keeps what that account must reach, when the checkout or the data folder lies below a
# folder that is closed to others (root's own home, for instance).
OPEN_PLACE = Path("/var/lib/flagsite")


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        return self.uid, self.gid

    def may_enter(self, folder: Path) -> bool:
        """Whether every folder down to this one is open to accounts that own none of them."""
        return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def unprivileged_account() -> Account | None:
    """The account to step down to; None when this process is not root's."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise CannotStart(
            "PostgreSQL refuses to run as root and there is no account `nobody` here: "
            "start Flagsite as an ordinary user, or set DATABASE_URL."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def reachable_folder(wanted: Path, account: Account | None) -> Path:
    """`wanted` as a folder private to the account: itself, or a link to one that it can reach."""
    if account is None:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    if wanted.is_symlink() and not wanted.exists():
        raise CannotStart(
            f"{wanted} points to {os.readlink(wanted)}, which is gone: remove the link."
        )
    if not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if account.may_enter(wanted.parent):
            wanted.mkdir(mode=0o700)
        else:
            OPEN_PLACE.mkdir(mode=0o755, parents=True, exist_ok=True)
            elsewhere = OPEN_PLACE / f"data-{uuid.uuid4().hex[:12]}"
            elsewhere.mkdir(mode=0o700)
            wanted.symlink_to(elsewhere)
    os.chown(wanted, account.uid, account.gid)
    return wanted.resolve()


def reachable_copy(installation: Path, version: str, account: Account | None) -> Path:
    """The installation itself, or a copy of it where the account can reach it.

    Its programs look for the libraries that the wheel carries next to its package, by a path
    relative to themselves: the copy keeps that layout.
    """
    if account is None or account.may_enter(installation / "bin"):
        return installation
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = OPEN_PLACE / f"postgresql-{version}"
    if not copy.exists():
        OPEN_PLACE.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = OPEN_PLACE / f"unfinished-{uuid.uuid4().hex}"
        shutil.copytree(installation, unfinished / package.name / installation.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        try:
            unfinished.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(unfinished)
    return copy / package.name / installation.name


def run_as(account: Account | None, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a short command as the account, its output captured, in a folder all may be in."""
    return subprocess.run(
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        capture_output=True,
        text=True,
    )
