"""The HTTP API and the answer page through which people see and acknowledge incidents."""
