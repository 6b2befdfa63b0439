"""What Tocsin reaches, measured beside Alertmanager on the same machine: `make bench`, docs/performance.md."""
