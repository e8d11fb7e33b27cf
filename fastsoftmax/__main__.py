"""``python -m fastsoftmax``: the command `fastsoftmax`."""

import sys

from fastsoftmax.cli import main

sys.exit(main())
