"""Folds alerts from the store's streams into incidents."""
