"""Plants: one change to the app each. `PATCHES` maps a module of the app to what is done to it once it is imported."""


def swapped(text: str, old: str, new: str) -> str:
    """`text` with `old`, which must be in it, replaced. Raises: LookupError when it is not."""
    if old not in text:
        raise LookupError(f"nothing to plant in: {old!r} is not there")
    return text.replace(old, new)
