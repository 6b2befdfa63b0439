"""Pages people up the ladder until someone answers."""
