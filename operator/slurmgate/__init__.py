"""Slurmgate carries JobSubmission resources to Slurm clusters over SSH and brings Slurm's answer back."""
