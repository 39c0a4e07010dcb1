"""Trains one run: starts its ranks where they belong and waits for them. See `thoughtscope.launch`."""

import sys

from thoughtscope.launch.run import main

if __name__ == "__main__":
    sys.exit(main())
