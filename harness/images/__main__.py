"""The command line: `make images`.

python -m harness.images             pull or build everything, and write compose/.env for `docker compose up`
python -m harness.images --remove    remove what was built
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from harness.engine import require_engine
from harness.images.build import announce
from harness.images.images import ensure_images, remove_built, write_compose_env


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pull or build the images that a stack needs.")
    parser.add_argument("--remove", action="store_true", help="remove what was built")
    if parser.parse_args().remove:
        require_engine()
        remove_built()
        return
    images = ensure_images()
    write_compose_env(images)
    shown: Mapping[str, str] = {**images.as_env(), "APP_IMAGE": images.app}
    announce(f"in use ({images.base.origin}):")
    for name, value in shown.items():
        announce(f"  {name:<16} {value}")


if __name__ == "__main__":
    main()
