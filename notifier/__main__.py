"""`python -m notifier`: the notifier alone."""

from notifier.service import build
from tocsin.runtime.service import main

raise SystemExit(main("notifier", build))
