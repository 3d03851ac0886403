"""Pieces that several methods share: batches, scaling, autoencoders, the classifier on latents."""
