"""`python -m septum`, the same as the command `septum`."""

import sys

from septum.cli import main

sys.exit(main())
