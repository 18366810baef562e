"""The C explorer, its driver, and a model made ready for it."""
