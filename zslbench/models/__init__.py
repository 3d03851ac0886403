"""Fitted models that are kept: what a method has learned as a file, and what it says of new images."""
