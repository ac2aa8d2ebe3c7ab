"""A stack to play with: it stays up, phones use it, and a person breaks it from another terminal."""
