"""`python -m ingest`: the role in a process of its own."""

from ingest.service import build
from tocsin.runtime.service import main

raise SystemExit(main("ingest", build))
