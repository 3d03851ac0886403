"""Hyper-parameter search on validation classes: what is searched, what a trial may see, what is kept, who drives."""
