"""nmmfit: global fits of neutrino magnetic moments and neutrino-quark operators in the low-energy EFT."""

from __future__ import annotations

__version__ = "0.1.0"
