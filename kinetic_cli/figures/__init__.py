"""Figures, one per file: `figures(view)` yields (suffix of the file name, matplotlib figure)."""
