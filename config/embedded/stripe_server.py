"""Runs `localstripe` on loopback only, with its objects in a file of our own.

Its own entry point listens on every address of the machine, needs IPv6, and loads whatever lies in
``/tmp/localstripe.pickle``, where anybody may put a file that runs code when loaded.
"""

import argparse
import logging
import os
import pickle
from pathlib import Path

from aiohttp import web
from localstripe import resources
from localstripe.server import app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="file that keeps the objects")
    arguments = parser.parse_args()
    state: Path = arguments.state
    if state.exists():
        try:
            kept = pickle.loads(state.read_bytes())  # noqa: S301  # our own file in a private folder
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError):
            state.rename(state.with_suffix(".unreadable"))  # of another version of the package
        else:
            resources.store.update(kept)

    def keep_objects(store: resources.Store) -> None:
        draft = state.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_bytes(pickle.dumps(dict(store), protocol=pickle.HIGHEST_PROTOCOL))
        draft.rename(state)

    resources.Store.dump_to_disk = keep_objects
    os.umask(0o077)
    access = logging.getLogger("aiohttp.access")
    access.setLevel(logging.INFO)
    access.addHandler(logging.StreamHandler())
    web.run_app(app, host="127.0.0.1", port=arguments.port, access_log=access, print=None)


if __name__ == "__main__":
    main()
