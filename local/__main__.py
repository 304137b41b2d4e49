"""`python -m local`: see `local/cli.py`."""

import os
import sys

from local.cli import main

if __name__ == "__main__":
    # The commands speak to the embedded AWS alone: what a person has set for their own account would get in the way.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    sys.exit(main())
