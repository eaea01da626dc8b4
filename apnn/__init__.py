"""Asymptotic-preserving neural networks: one network for a continuum of Knudsen numbers. This file imports nothing."""
