"""Pure decisions about alerts, incidents and ladders: standard library only, no clock, no I/O."""
