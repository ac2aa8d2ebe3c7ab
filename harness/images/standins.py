"""Stand-ins for the official images, for machines that reach a package archive but no container registry.

One root filesystem by mmdebstrap, imported as an image; the rest by Dockerfiles on it (compose/images/standins/). They
keep the official images' contract: environment, entrypoint, data paths, user ids, stop signal.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from harness.errors import MissingCapability
from harness.images.build import Builder, content_hash
from harness.lab_home import PROJECT

STANDINS: Final = PROJECT / "compose" / "images" / "standins"
SUITE: Final = "trixie"
TOXIPROXY_VERSION: Final = "2.12.0"
BASE: Final = "chaos-lab/standin-base"
SERVICES: Final = {
    "postgres": "PostgreSQL 17 from the distribution (half a minute)",
    "redis": "Redis 8 from the distribution (seconds)",
    "toxiproxy": "Toxiproxy compiled from its Go module (half a minute)",
    "python": "Python 3.13 from the distribution (ten seconds)",
}


def build_standins(builder: Builder) -> tuple[str, str, str, str]:
    """Build what is missing; the references of postgres, redis, toxiproxy and python.

    Raises: MissingCapability without mmdebstrap, DriverError when a build fails.
    """
    base = _base(builder)
    postgres, redis, toxiproxy, python = (_build(builder, name, base=base, why=why) for name, why in SERVICES.items())
    return postgres, redis, toxiproxy, python


def _base(builder: Builder) -> str:
    image = f"{BASE}:{SUITE}"
    if builder.has(image):
        return image
    if shutil.which("mmdebstrap") is None:
        raise MissingCapability("stand-ins need mmdebstrap: install it (.ci/engine does), or use DRIVER=processes")
    builder.say(f"building {image}: a minimal root filesystem from the package archive (ten seconds to a minute)")
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "base.tar")
        builder.run(["mmdebstrap", "--quiet", "--variant=minbase", SUITE, archive, *_mirror()], what="root filesystem")
        builder.run(["docker", "import", "--change", 'CMD ["bash"]', archive, image], what=f"import of {image}")
    return image


def _mirror() -> list[str]:
    """The archive that this machine uses, when it is of the same distribution; else mmdebstrap's own default."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)"]
    found = subprocess.run(command, capture_output=True, text=True)
    uris = [line.removeprefix("Debian main ") for line in found.stdout.splitlines() if line.startswith("Debian main ")]
    return [each for each in uris if "security" not in each][:1]


def _build(builder: Builder, name: str, *, base: str, why: str) -> str:
    folder = STANDINS / name
    args = {"BASE_IMAGE": base}
    if name == "toxiproxy":
        args["TOXIPROXY_VERSION"] = TOXIPROXY_VERSION
    return builder.build(
        f"chaos-lab/standin-{name}",
        tag=content_hash([folder], salt=[base, TOXIPROXY_VERSION]),
        dockerfile=folder / "Dockerfile",
        context=folder,
        args=args,
        why=why,
    )
