"""The Docker files against the code; the linter is `make lint-docker`."""

import re
from pathlib import Path

from timelinelabels.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Of compose itself, not of the backend.
OTHERS = {"BIND", "TORCH", "LABEL_STUDIO_PORT", "LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD"}


def test_every_variable_of_the_example_is_used_and_is_a_setting():
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE)) <= named
    assert {name.lower() for name in named - OTHERS} <= set(Settings.model_fields)


def test_every_setting_can_stand_in_the_env_file_but_those_that_the_container_fixes():
    assert re.search(r"env_file:\n\s+- path: \.env\n", COMPOSE)
    backend = COMPOSE[: COMPOSE.index("  label-studio:")]
    fixed = set(re.findall(r"^      ([A-Z_]+): [^$\n]+$", backend, re.MULTILINE)) - {"TORCH"}
    assert fixed == {"HOST", "PORT", "MODEL_ROOT", "CACHE_DIR"}


def test_the_volumes_are_the_folders_of_the_guide_and_not_roots():
    for name, folder in (("MODEL_ROOT", "/app/models"), ("CACHE_DIR", "/app/cache_dir")):
        assert f"{name}={folder}" in DOCKERFILE
        assert f":{folder}\n" in COMPOSE
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000:1000"]


def test_nothing_is_copied_that_the_context_leaves_out():
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert name in let_in
        assert (ROOT / name).exists()


def test_services_have_names_that_label_studio_sends_webhooks_to():
    aliases = re.findall(r"^          - (\S+)$", COMPOSE, re.MULTILINE)
    assert len(aliases) == 2
    assert all("." in alias for alias in aliases)
