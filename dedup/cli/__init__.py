"""The command line: parse, call one method of `Collection`, print. click lives only here.

Results go to stdout, everything else to stderr. `main` is the one error boundary: what a user can
cause is one line and exit 1, wrong usage exit 2, Ctrl-C exit 130. Nothing heavy is imported until a
command needs it, so that help answers at once.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

import click

from dedup.cli.apply import apply_command, log_command, recover_command, undo_command
from dedup.cli.calibrate import calibrate_command
from dedup.cli.check import check_command
from dedup.cli.cluster_answers import fetch_command
from dedup.cli.compare import compare_command
from dedup.cli.contains import contains_command
from dedup.cli.evaluate import eval_command
from dedup.cli.export import export_command
from dedup.cli.ignore import ignore_command
from dedup.cli.index import index_command
from dedup.cli.layers import layers_command
from dedup.cli.list import list_command
from dedup.cli.map import map_command
from dedup.cli.output import note
from dedup.cli.pipes import never_fail, what_failed
from dedup.cli.plan import plan_command
from dedup.cli.query import query_command
from dedup.cli.report import report_command
from dedup.cli.review import review_command
from dedup.cli.roots import roots_command
from dedup.cli.sample import sample_command
from dedup.cli.split import split_command
from dedup.cli.status import status_command
from dedup.cli.verify import repair_command, verify_command
from dedup.cli.watch import watch_command
from dedup.cli.why import why_command
from dedup.errors import DISTRIBUTION, DedupError
from dedup.parallel.memory import keep_pages

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:  # noqa: ARG001, FBT001 - click's signature
    if wanted:
        from importlib.metadata import version

        click.echo(f"dedup {version(DISTRIBUTION)}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Find duplicate images, and images that look alike.

    dedup reads every image once and keeps a small vector of it. From then on it answers quickly:
    which images are like this one, and which are duplicates? Only `dedup apply` changes files. It
    follows a plan that you have read, and `dedup undo` takes it back, except for files deleted for
    good.

    \b
    Examples:
      dedup index ~/Pictures        read every image once
      dedup list                    show the duplicate groups
      dedup query holiday.jpg       show the images most like this one
      dedup plan -o plan.json       plan which duplicates are to go
    """


for _command in (
    index_command,
    watch_command,
    query_command,
    list_command,
    compare_command,
    contains_command,
    why_command,
    fetch_command,
    ignore_command,
    report_command,
    review_command,
    map_command,
    check_command,
    split_command,
    sample_command,
    plan_command,
    apply_command,
    undo_command,
    log_command,
    recover_command,
    calibrate_command,
    eval_command,
    status_command,
    roots_command,
    verify_command,
    repair_command,
    layers_command,
    export_command,
):
    cli.add_command(_command)


_INTERRUPTED = "Interrupted. What was committed is kept; the next run continues."


def main() -> None:
    """Run the command line and exit."""
    # torch makes such a folder when it exports a model, by default a new one among the temporary
    # files. Nothing is compiled here: one that exists does.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.sep)
    keep_pages()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 0
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            context = error.ctx
            click.echo(context.get_usage(), err=True)
            click.echo(f"Try '{context.command_path} --help' for help.\n", err=True)
        note(f"Error: {error.format_message()}")
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        words = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
        note(f"Interrupted: {words}" if words else _INTERRUPTED)
        code = EXIT_INTERRUPTED
    except DedupError as error:
        note(f"Error: {error}")
        code = EXIT_ERROR
    except MemoryError:
        note("Error: out of memory. What was committed is kept; the next run continues.")
        code = EXIT_ERROR
    except ImportError as error:
        # The loader raises this also where there is too little memory to map a library.
        note(
            f"Error: a package cannot be loaded ({error}): there is too little memory, or the "
            "installation is incomplete. Install dedup again, or give it more memory."
        )
        code = EXIT_ERROR
    sys.exit(code if isinstance(code, int) else 0)


def program() -> None:
    """Run the command line as all that this process does."""
    ended: list[int] = []
    atexit.register(_leave, ended)  # before all others, so that it is called after them
    never_fail()
    try:
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else EXIT_ERROR
        if reason := what_failed():
            note(f"Error: the output could not be written: {reason}")
            code = code or EXIT_ERROR
        ended.append(code)
        sys.exit(code)


def _leave(ended: list[int]) -> None:
    """End the process before Python takes itself apart, where Arrow was used.

    One of Arrow's threads that lets go of Python's bytes meanwhile is stopped by Python in the
    middle of C++, which aborts the process with code 134, although all was done
    (https://github.com/apache/arrow/issues/34314; so does Python before 3.14 with any thread that
    it does not know).
    """
    if not ended or "pyarrow" not in sys.modules:
        return
    with suppress(OSError):  # which Python says when it tries itself
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended[0])
