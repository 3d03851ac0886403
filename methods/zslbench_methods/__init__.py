"""The built-in methods, one file each, registered through the same entry points as anybody's plugin."""
