"""Planning trials and running them, one after the other or side by side."""
