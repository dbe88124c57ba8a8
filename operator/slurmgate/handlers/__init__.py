"""What kopf calls. No decision is made here."""
