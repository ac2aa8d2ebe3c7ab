"""Which images a stack runs: official ones, pinned by tag, or stand-ins built here; and the app's and the lab's own.

CHAOSLAB_IMAGES=official or stand-ins decides; otherwise the official images are pulled, and stand-ins are built when no
registry answers in PROBE_TIMEOUT_S. The choice is kept in .lab/images.json for as long as its images are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from harness.clock import wait_for
from harness.engine import connect, docker_env, require_engine
from harness.errors import DriverError, WaitTimeout
from harness.images.build import HASH_LENGTH, Builder, Say, announce, ca_bundle, content_hash
from harness.images.standins import build_standins
from harness.lab_home import PROJECT, lab_home

BUILD_CACHE_STAYS: Final = (
    "the engine's build cache stays: it is everybody's, and nobody can tell the lab's part of it from the rest;"
    " `docker builder prune` empties it"
)
PROBE_TIMEOUT_S = 12.0
PULL_TIMEOUT_S = 900.0
IMAGES = PROJECT / "compose" / "images"
Origin = Literal["official", "stand-ins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImages:
    """What the stack is made of besides the app. `origin` says which of the two kinds these are."""

    origin: Origin
    postgres: str
    redis: str
    toxiproxy: str
    python: str

    def references(self) -> tuple[str, ...]:
        """All four."""
        return (self.postgres, self.redis, self.toxiproxy, self.python)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Everything that a stack needs, present in the engine. `build` changes with the app's content."""

    base: BaseImages
    app: str
    tools: str
    build: str

    def as_env(self) -> dict[str, str]:
        """The variables that the files in compose/ ask for, without the app's image."""
        bundle = ca_bundle()
        return {
            "POSTGRES_IMAGE": self.base.postgres,
            "REDIS_IMAGE": self.base.redis,
            "TOXIPROXY_IMAGE": self.base.toxiproxy,
            "PYTHON_IMAGE": self.base.python,
            "TOOLS_IMAGE": self.tools,
            **({"CA_BUNDLE": str(bundle)} if bundle else {}),
        }


OFFICIAL: Final = BaseImages(
    origin="official",
    postgres="postgres:17.6-bookworm",
    redis="redis:8.2.1-bookworm",
    toxiproxy="ghcr.io/shopify/toxiproxy:2.12.0",
    python="python:3.13.7-slim-bookworm",
)


def ensure_images(*, say: Say = announce) -> Images:
    """Pull or build what is missing; a fraction of a second when nothing is.

    Raises: MissingCapability without an engine, DriverError when an image cannot be had.
    """
    require_engine()
    builder = Builder(connect(), say=say)
    base = _base_images(builder)
    context = {"PYTHON_IMAGE": base.python}
    lock, app, dockerfile = PROJECT / "requirements-app.lock", PROJECT / "app", IMAGES / "app" / "Dockerfile"
    build = content_hash([app, lock, dockerfile], salt=[base.python])
    app_image = builder.build(
        "chaos-lab/app",
        tag=build,
        dockerfile=dockerfile,
        context=PROJECT,
        args=context,
        why="the app changed (a second or two; the first time, and after a change of the lock, all packages: a minute)",
    )
    tools = IMAGES / "tools" / "Dockerfile"
    sources = [PROJECT / "harness" / name for name in ("__init__.py", "receiver.py", "links/tcp_proxy.py")]
    tools_image = builder.build(
        "chaos-lab/tools",
        tag=content_hash([*sources, tools], salt=[base.python]),
        dockerfile=tools,
        context=PROJECT,
        args=context,
        why="the lab's proxy and receiver (seconds)",
    )
    return Images(base=base, app=app_image, tools=tools_image, build=build)


def ensure_pinned(app_image: str, pins: Sequence[str], *, say: Say = announce) -> str:
    """The app's image with other versions of some packages in a second layer; returns its reference."""
    dockerfile = IMAGES / "pins" / "Dockerfile"
    builder = Builder(connect(), say=say)
    salt = json.dumps([app_image, *sorted(pins)])
    with tempfile.TemporaryDirectory() as empty:
        return builder.build(
            "chaos-lab/app-pinned",
            tag=hashlib.sha256(salt.encode()).hexdigest()[:HASH_LENGTH],
            dockerfile=dockerfile,
            context=Path(empty),
            args={"APP_IMAGE": app_image, "PINS": " ".join(pins)},
            why=f"a second layer with {', '.join(pins)} (packages are downloaded: some ten seconds)",
        )


def _base_images(builder: Builder) -> BaseImages:
    memo = lab_home() / "images.json"
    wanted = os.environ.get("CHAOSLAB_IMAGES", "")
    if wanted not in ("", "official", "stand-ins"):
        raise DriverError(f"CHAOSLAB_IMAGES is {wanted!r}: expected official or stand-ins, or leave it unset")
    known = _remembered(memo)
    if known is not None and wanted in ("", known.origin) and _is_current(known) and _has_all(builder, known):
        return known
    if wanted != "stand-ins" and _pull_official(builder, is_required=wanted == "official"):
        chosen = OFFICIAL
    else:
        postgres, redis, toxiproxy, python = build_standins(builder)
        chosen = BaseImages(origin="stand-ins", postgres=postgres, redis=redis, toxiproxy=toxiproxy, python=python)
    memo.write_text(json.dumps({**asdict(chosen), "recipe": _recipe()}, indent=1), encoding="utf-8")
    return chosen


def _recipe() -> str:
    """Changes when the stand-ins or the pinned tags do."""
    return content_hash([IMAGES / "standins"], salt=OFFICIAL.references())


def _remembered(memo: Path) -> BaseImages | None:
    if not memo.exists():
        return None
    facts: dict[str, str] = json.loads(memo.read_text(encoding="utf-8"))
    if facts.pop("recipe", "") != _recipe():
        return None
    return BaseImages(
        origin="official" if facts["origin"] == "official" else "stand-ins",
        postgres=facts["postgres"],
        redis=facts["redis"],
        toxiproxy=facts["toxiproxy"],
        python=facts["python"],
    )


def _is_current(known: BaseImages) -> bool:
    return known.origin == "stand-ins" or known == OFFICIAL


def _has_all(builder: Builder, images: BaseImages) -> bool:
    return all(builder.has(each) for each in images.references())


def _pull_official(builder: Builder, *, is_required: bool) -> bool:
    """Pull what is missing; False when no registry gives it. Raises: DriverError when official images are required."""
    missing = [each for each in OFFICIAL.references() if not builder.has(each)]
    for image in missing:
        builder.say(f"pulling {image} (once; up to some hundred megabytes, it depends on the network)")
        problem = pull_problem(image)
        if problem is None:
            continue
        if is_required:
            raise DriverError(f"{image} cannot be pulled: {problem}")
        builder.say(f"no container registry gives us {image} ({problem}): building stand-ins with the same contract")
        return False
    return True


def pull_problem(image: str) -> str | None:
    """Pull one image; what went wrong, or None. A registry silent for PROBE_TIMEOUT_S is taken for absent."""
    with tempfile.TemporaryFile("w+") as output:
        pulling = subprocess.Popen(["docker", "pull", image], stdout=output, stderr=subprocess.STDOUT, env=docker_env())

        def said() -> str:
            output.seek(0)
            return output.read()

        try:
            wait_for(
                lambda: pulling.poll() is not None or "Pulling from" in said(),
                awaiting=f"the registry's answer about {image}",
                timeout_s=PROBE_TIMEOUT_S,
                interval_s=0.2,
            )
            pulling.wait(PULL_TIMEOUT_S)
        except (WaitTimeout, subprocess.TimeoutExpired) as error:
            pulling.kill()
            pulling.wait()
            return str(error)
        last = said().strip().splitlines()[-1:] or ["no output"]
        return None if pulling.returncode == 0 else last[0]


def write_compose_env(images: Images, *, path: Path = PROJECT / "compose" / ".env") -> None:
    """Tell `docker compose -f compose/stack.yml up` which images there are."""
    lines = [f"{name}={value}" for name, value in images.as_env().items()]
    path.write_text("\n".join(["# written by `make images`", *lines, ""]), encoding="utf-8")


def remove_built(*, say: Say = announce) -> None:
    """Remove every image that the lab built, and say what stays; images that a container uses are an error."""
    client = connect()
    for tag in [tag for image in client.images.list(name="chaos-lab/*") for tag in image.tags]:
        say(f"removing {tag}")
        client.images.remove(tag)
    (lab_home() / "images.json").unlink(missing_ok=True)
    (PROJECT / "compose" / ".env").unlink(missing_ok=True)
    say(BUILD_CACHE_STAYS)
