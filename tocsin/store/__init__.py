"""The only code that speaks to Redis or Valkey."""
