"""`python -m generate` writes everything that is derived from the code."""

from generate.files import files

for path, text in files():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
