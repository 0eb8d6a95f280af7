"""The REST interface, put together."""

import fastapi

from service.api import deps, health, metrics, problems, runs, studies, worklist

DESCRIPTION = """What the reading worklist should do with cardiac CT studies.

`low` says: a complete and suitable series shows no coronary calcium, the study can wait. It speaks of coronary calcium
only. Every doubt, error or unknown leaves a study `routine`. Research software, not a medical device.

Times are UTC, ISO 8601. Failures are problem documents (RFC 9457)."""


def create_app(desk: deps.Desk) -> fastapi.FastAPI:
    """Build the application around a desk."""
    app = fastapi.FastAPI(title="cac-triage", version="1", description=DESCRIPTION)
    app.state.desk = desk
    app.state.meter = metrics.Meter(desk.settle_seconds)
    problems.install(app)
    for module in (worklist, studies, runs, health, metrics):
        app.include_router(module.router)
    problems.describe(app)
    return app
