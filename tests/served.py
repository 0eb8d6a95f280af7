"""A REST interface over a real database, with studies brought into wanted states by the code that brings them there."""

import contextlib
import dataclasses
import datetime as dt
import pathlib
import socket
import threading
from collections.abc import Iterator

import fastapi
import httpx
import uvicorn

from cac import reasons
from service.api import app, deps
from triage import domain, rules, settings
from triage.db import arrivals, assembly, runs, session

START = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)


def uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.8.498.{number}"


@dataclasses.dataclass
class Served:
    """Hold the interface, its database, and the time in force, which tests move on."""

    db: session.Database
    results: pathlib.Path
    rules: rules.Rules
    client: httpx.Client
    now: dt.datetime = START

    def agree(self, agreed: bool = True) -> None:
        assembly.agree(self.db, "boot", agreed, self.now)

    def later(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def receive(self, number: int, **changes: object) -> None:
        """Note a study of one series of four images."""
        for image in range(4):
            arrivals.note(self.db, instance(number, image, **changes), None, self.rules, self.now)

    def queue(self, number: int) -> None:
        """Complete the series and queue its run."""
        snapshots = {each.series_instance_uid: each for each in assembly.arriving(self.db, self.now)}
        assert assembly.complete(self.db, snapshots[f"{uid(number)}.1"], (), self.rules, self.now)

    def work(self, number: int, outcome: domain.Outcome, **changes: object) -> domain.Ticket:
        """Give the queued run of a series an outcome."""
        ticket = runs.lease(self.db, f"{uid(number)}.1", "tests", 30, self.now)
        assert ticket is not None
        code = {"absent": reasons.ReasonCode.NO_CALCIUM}.get(outcome.value, reasons.ReasonCode.CANDIDATE_IN_DOUBT)
        result = domain.RunResult(
            outcome=outcome,
            reasons=(reasons.reason(code, count=1),),
            models_hash="m" * 64,
            provider="CPUExecutionProvider",
            profile="default",
            agatston=0.0 if outcome is domain.Outcome.ABSENT else 34.5,
            category="0" if outcome is domain.Outcome.ABSENT else "11-100",
            images=4,
            **changes,
        )
        runs.finish(self.db, ticket, result, self.rules, self.now)
        return ticket

    def finish(self, number: int, outcome: domain.Outcome, **changes: object) -> domain.Ticket:
        """Take a study all the way to an outcome."""
        self.receive(number, **changes)
        self.queue(number)
        ticket = self.work(number, outcome)
        self.later(1)
        return ticket

    def uids(self, **query: object) -> list[str]:
        """Return the worklist's studies, in order."""
        answer = self.client.get("/api/v1/worklist", params=query)
        assert answer.status_code == 200, answer.text
        return [item["study_instance_uid"] for item in answer.json()["items"]]

    def flag(self, number: int):
        return self.client.get(f"/api/v1/studies/{uid(number)}/flag")


def instance(number: int, image: int, **changes: object) -> domain.Instance:
    """Build a suitable image of study `number`; every third millimetre holds one."""
    study = uid(number)
    values: dict[str, object] = {
        "sop_instance_uid": f"{study}.1.{image + 1}",
        "series_instance_uid": f"{study}.1",
        "study_instance_uid": study,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"{study}/{study}.1/{study}.1.{image + 1}.dcm",
        "size": 1000,
        "sha256": f"{number * 1000 + image:064x}",
        "kind": domain.InstanceKind.IMAGE,
        "patient_id": f"P{number}",
        "patient_name": f"FAMILY{number}^GIVEN",
        "accession_number": f"A{number}",
        "study_date": "20260105",
        "study_description": "CT CALCIUM SCORE",
        "body_part": "HEART",
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "declared_images": 4,
        "rows": 64,
        "columns": 64,
        "pixel_spacing": (0.5, 0.5),
        "position": (-100.0, -100.0, 3.0 * image),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "thickness": 3.0,
        "kvp": 120.0,
        "kernel": "B35f",
        "rescale_present": True,
        "rescale_type": "HU",
        "frame_of_reference_uid": f"{study}.9",
        "acquisition": f"1 {number}",
    }
    return domain.Instance(**{**values, **changes})


@contextlib.contextmanager
def serving(application: fastapi.FastAPI) -> Iterator[httpx.Client]:
    """Serve an application on a free port until the block ends."""
    config = uvicorn.Config(application, log_config=None, access_log=False, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does for sockets of its own alone
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # Connections wait in the socket's queue until the server takes them: nothing to poll for.
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def running(database_url: str, home: pathlib.Path) -> Iterator[Served]:
    """Serve a database until the block ends; spool and database agree."""
    db = session.Database(database_url)
    (home / "spool").mkdir(parents=True)
    site = rules.from_settings(settings.load(home=home))
    served: Served
    desk = deps.Desk(db=db, spool=home / "spool", results=home / "results", min_free_bytes=1, clock=lambda: served.now)
    with serving(app.create_app(desk)) as client:
        served = Served(db=db, results=home / "results", rules=site, client=client)
        served.agree()
        yield served
    db.dispose()
