"""The README and the help texts say what the program does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dedup.cli import cli

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    import click

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))
COMMANDS: MutableMapping[str, click.Command] = cli.commands


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_readme_and_has_examples(name: str) -> None:
    assert f"dedup {name}" in README
    assert "Examples:" in (COMMANDS[name].help or "")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_a_help_text(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{name} {parameter.opts}"


def test_commands_in_the_readme_exist() -> None:
    mentioned = set(re.findall(r"^\s*(?:\$ )?dedup ([a-z]+)", EXAMPLES, re.MULTILINE))
    assert mentioned
    assert mentioned <= set(COMMANDS)


def test_options_in_the_readme_exist() -> None:
    for command, rest in re.findall(r"^\s*(?:\$ )?dedup ([a-z]+)([^#\n]*)", EXAMPLES, re.MULTILINE):
        known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
        used = set(re.findall(r"(?<!\S)(--[a-z-]+|-[a-z0-9])\b", rest))
        assert used <= known | {"--help"}, f"dedup {command}: {used - known}"


def test_the_python_example_of_the_readme_runs(drawn: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = example.replace('"Pictures', f'"{drawn}').replace('"holiday.jpg"', f'"{drawn}/a/0.jpg"')
    printed = []
    for _ in range(2):  # the second time in the collection that the first one made
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "exact " in printed[0]
    assert "Neighbour(" in printed[0]
    assert printed[0] == printed[1]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CURRENT = [page for page in PAGES if "notes" not in page.parts]


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_the_documents_name_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in re.findall(r"`((?:scripts|docs|benchmarks|tests|dedup)/[\w./]+\w)`", text):
        assert any(path.exists() for path in (ROOT / name, ROOT / f"{name}.py")), name


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_install_lines_name_this_project(page: Path) -> None:
    for line in re.findall(r"pip install ([^`\n]*)", page.read_text("utf-8")):
        assert not re.search(r"(?<![\w./-])dedup(?![\w-])", line), line


def test_the_page_of_benchmarks_shows_what_was_recorded() -> None:
    script = ROOT / "benchmarks" / "render.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_documentation_builds_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "-d", os.fspath(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "api" / "index.html").is_file()


def test_the_command_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/cli_reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
