"""Clock, settings, rules file, service loop, logs, metrics and the command line."""
