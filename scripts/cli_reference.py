"""Write docs/cli.md, the reference of the command line, from click's own commands.

With --check nothing is written, and the exit code is 1 when the file is not current.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"


def reference() -> str:
    """Give the whole page."""
    lines = [
        "# Command line",
        "",
        "<!-- Written by scripts/cli_reference.py from the commands' own help. -->",
        "",
        *_description(cli),
        "",
        "Results go to stdout, everything else to stderr.",
        "Exit codes: 0 done, 1 error, 2 wrong usage, 3 found by `--fail-on` or `verify`,",
        "130 interrupted.",
    ]
    for name, command in cli.commands.items():
        context = click.Context(command, info_name=f"dedup {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        lines += ["", f"## dedup {name}", "", "```", f"dedup {name} {usage}", "```", ""]
        lines += _description(command)
        lines += ["", "| option | meaning |", "|---|---|", *_options(command, context)]
    return "\n".join(lines) + "\n"


def _description(command: click.Command) -> Iterator[str]:
    """Turn a help text into Markdown: examples, which click does not wrap, become code."""
    for number, block in enumerate(inspect.cleandoc(command.help or "").split("\n\n")):
        if number:
            yield ""
        if not block.startswith("\b"):
            yield block
            continue
        title, *examples = block.removeprefix("\b\n").splitlines()
        yield from (title, "", "```", *(line.removeprefix("  ") for line in examples), "```")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # arguments are explained in the text
            names, meaning = (text.replace("|", "\\|") for text in record)
            yield f"| `{names}` | {meaning.replace('  [', ' [')} |"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = reference()
    if not options.check:
        TARGET.write_text(text, "utf-8")
    elif not TARGET.is_file() or TARGET.read_text("utf-8") != text:
        print(f"{TARGET} is not current; run scripts/cli_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
