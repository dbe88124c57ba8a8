"""Slurm for the bed."""
