"""cac-triage: every command a person types, one module a group; heavy imports wait until a command needs them."""

import sys

import typer

from cli import db, demo, doctor, node, run, send, worklist

HELP = """Rule out coronary artery calcium on cardiac CT, and tell the reading worklist what can wait.

Research software, not a medical device. Settings are read from CAC_TRIAGE_*; options win over them."""

commands = typer.Typer(
    help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
commands.command()(node.up)
commands.command()(node.listen)
commands.command()(node.assemble)
commands.command()(node.api)
commands.command()(node.work)
commands.command()(run.run)
commands.command()(send.send)
commands.command()(send.phantom)
commands.command()(worklist.worklist)
commands.command()(doctor.doctor)
commands.command()(demo.demo)
commands.add_typer(db.commands, name="db")


def app() -> None:
    """Run the command; an error raised on purpose becomes one line, not a traceback."""
    from cac import errors as science
    from triage import errors

    try:
        commands(prog_name="cac-triage", standalone_mode=True)
    except (errors.TriageError, science.CacError) as failure:
        sys.stderr.write(f"cac-triage: {failure}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    app()
