"""Kubernetes for the bed."""
