"""Takes alerts from monitoring systems over HTTP and appends them to the store, durably, before it answers."""
