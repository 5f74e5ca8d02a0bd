"""As whom an embedded server runs when Summit itself runs as root.

PostgreSQL refuses to run as root. The server then runs as the owner of the state folder or of the
first folder above it that is not root's (``sudo make run`` in somebody's checkout), else as
``nobody``. No account is made.

That account must be able to reach its data and the programs, which may lie below a folder that is
closed to it, such as ``/root`` or one made by ``mktemp -d``. Opening such a folder to everybody
would undo its owner's decision. Instead the server also belongs to the group of the closed folder
(root's own group, as a rule), and the folder gets that group's bit for passing through: 0700
becomes 0710. Nobody else gains anything, and no folder can be listed that could not be before.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that change who the program runs as."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the system; `groups` are those beside the primary one."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    @property
    def identity(self) -> Identity:
        return {"user": self.uid, "group": self.gid, "extra_groups": sorted(self.groups)}

    def may(self, permission: int, path: Path) -> bool:
        """Has the account this permission (4 read, 1 execute or pass through) by the mode bits?"""
        status = path.stat()
        if status.st_uid == self.uid:
            shift = 6
        elif status.st_gid == self.gid or status.st_gid in self.groups:
            shift = 3
        else:
            shift = 0
        return status.st_mode >> shift & permission == permission


def account_for(folder: Path) -> Account | None:
    """The account for a server whose data lie in `folder`; None: the one that runs this program."""
    if os.geteuid() != 0:
        return None
    for each in (folder, *folder.parents):
        owner = each.stat().st_uid
        if owner != 0:
            try:
                entry = pwd.getpwuid(owner)
            except KeyError:
                break  # initdb wants a name
            return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    entry = pwd.getpwnam("nobody")
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def admitted(account: Account, *, to: Iterable[Path]) -> Account:
    """The account with the groups that it needs to reach `to`, whose folders it is let through.

    Raises OSError when a folder's mode cannot be changed.
    """
    folders = {parent for path in to for parent in path.resolve().parents}
    account = _with_groups_of(account, (each for each in folders if not account.may(1, each)))
    for folder in folders:
        if not account.may(1, folder):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXGRP)
    return account


def readable(account: Account, *, tree: Path, samples: Iterable[Path]) -> Account:
    """The account, able to read all of `tree`; looks at the modes of `samples` alone.

    A package installed under a strict umask is closed to everybody but its owner.
    Raises OSError when a mode cannot be changed.
    """
    if all(account.may(4, sample) for sample in samples):
        return account
    account = _with_groups_of(account, [tree])
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        passing = stat.S_IXGRP if path.is_dir() or mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IRGRP | passing)
    return account


def _with_groups_of(account: Account, paths: Iterable[Path]) -> Account:
    return replace(account, groups=account.groups | {path.stat().st_gid for path in paths})
