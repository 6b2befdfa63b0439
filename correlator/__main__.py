"""`python -m correlator`: the correlator alone."""

from correlator.service import build
from tocsin.runtime.service import main

raise SystemExit(main("correlator", build))
