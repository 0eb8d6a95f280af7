"""`cac-triage worklist`: the reading order, as a running node shows it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console

if TYPE_CHECKING:
    import rich.table

STYLES = {"low": "green", "routine": "", "high": "bold red"}


def worklist(
    url: Annotated[str | None, typer.Option(help="The node's address. [http://127.0.0.1:CAC_TRIAGE_HTTP_PORT]")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many studies to show.")] = 50,
    priority: Annotated[str | None, typer.Option(help="Only low, routine or high.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only one outcome, e.g. pending.")] = None,
) -> None:
    """Show the worklist of a running node, in reading order."""
    from cli import rest
    from triage import settings

    base = url or f"http://127.0.0.1:{settings.load().http_port}"
    page = rest.get(base, "/api/v1/worklist", limit=limit, priority=priority, outcome=outcome)
    shown = console.out()
    shown.print(table(page["items"]))
    if page["next"]:
        shown.print(f"There are more: ask with --limit above {limit}.")


def table(items: list[dict[str, Any]]) -> "rich.table.Table":
    """Lay worklist items out; `low` speaks of coronary calcium only."""
    import rich.table
    import rich.text

    made = rich.table.Table()
    for heading in ("priority", "outcome", "Agatston", "accession", "date", "images"):
        made.add_column(heading, no_wrap=True)
    for heading in ("study", "why"):
        made.add_column(heading, ratio=1)
    for item in items:
        flag = item["flag"]
        expected = "" if item["images_expected"] is None else f"/{item['images_expected']}"
        score = "" if flag["agatston"] is None else f"{flag['agatston']:.1f}"
        cells = [
            rich.text.Text(flag["priority"], style=STYLES[flag["priority"]]),
            *(
                rich.text.Text(text)
                for text in (flag["outcome"], score, item["accession_number"], item["study_date"] or "")
            ),
            rich.text.Text(f"{item['images_received']}{expected}"),
            rich.text.Text(item["description"]),
            rich.text.Text(" ".join(reason["text"] for reason in flag["reasons"])),
        ]
        made.add_row(*cells)
    return made
