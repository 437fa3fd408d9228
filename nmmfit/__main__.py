"""`python -m nmmfit` is the command line."""

from __future__ import annotations

import sys

from nmmfit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
