"""`python -m stowplan` is the `stowplan` command."""

import sys

from stowplan.experiments.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
