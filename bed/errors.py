"""What goes wrong with a bed, said so that the reader knows what to do."""


class BedError(Exception):
    """The bed cannot do what was asked. The message names the cause and the way out; nobody needs the traceback."""
