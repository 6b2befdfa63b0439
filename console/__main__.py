"""`python -m console`: the console alone."""

from console.service import build
from tocsin.runtime.service import main

raise SystemExit(main("console", build))
