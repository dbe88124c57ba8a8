"""The command line for people. The operator itself (`slurmgate run`) is in `app`, and needs nothing of this."""
