"""Entries of the user mapping, as admins write them."""

from tests.api import Json


def entry(user: str, /, **changes: object) -> Json:
    """An entry that refers to the user's key in its Secret, with changes; None takes a field out."""
    fields = {
        "mail": f"{user}@example.org",
        "mapped_user": user,
        "ssh_private_key_secret": {"name": f"{user}-ssh-key", "key": "ssh-privatekey"},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}
