"""What people see and do: the HTTP API, the answer page behind the link of a page, live events, and the read model of the lists."""
