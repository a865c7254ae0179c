"""`python -m rushes`."""

import sys

from rushes.main import main

sys.exit(main())
