"""The commands of `tocsin`, one module per noun; `tocsin/runtime/cli.py` puts them together."""
