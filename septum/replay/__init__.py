"""Traces of a real kernel, followed step by step by the model."""
