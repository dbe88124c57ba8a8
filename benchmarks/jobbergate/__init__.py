"""Jobbergate's submissions carried by Slurmgate, and by the Jobbergate Agent, side by side (make bench-jobbergate)."""
