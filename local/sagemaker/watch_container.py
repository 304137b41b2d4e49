"""Runs a container until it ends by itself, or until stdin closes: so none outlives whoever started it.

A program of its own: `python watch_container.py DOCKER NAME run ...`, with nothing but the standard library.
"""

import os
import subprocess
import sys
import threading
import time

GRACE_SECONDS = "2"


def main(docker: str, name: str, *arguments: str) -> int:
    """The exit status of the container called `name`, which `arguments` run."""
    container = subprocess.Popen([docker, *arguments], stdin=subprocess.DEVNULL)  # noqa: S603 -- Docker, found on the PATH

    def end() -> None:
        while os.read(0, 4096):
            pass
        # More than once: a container that is only being made cannot be stopped yet.
        while container.poll() is None:
            subprocess.run(  # noqa: S603 -- the same
                [docker, "stop", "-t", GRACE_SECONDS, name], stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            time.sleep(0.1)

    threading.Thread(target=end, daemon=True).start()
    return container.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
