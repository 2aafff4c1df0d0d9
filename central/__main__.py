"""`python -m central` is `sightline`."""

import sys

from central.cli import main

sys.exit(main())
