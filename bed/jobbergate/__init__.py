"""Jobbergate's part of a bed."""
