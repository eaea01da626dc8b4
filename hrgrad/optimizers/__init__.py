"""Optimizers, one per file; the file name is the name of the optimizer (see ``hrgrad.optimizer``)."""
