"""What the doctor says of nets."""

import json
import pathlib
import shutil

import pytest

from cli import checks
from triage import settings

MODELS = pathlib.Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("tuned", [True, False])
def test_nets_whose_thresholds_nobody_chose_are_told(tmp_path, monkeypatch, tuned):
    models = shutil.copytree(MODELS, tmp_path / "models")
    stated = json.loads((models / "manifest.json").read_text())
    if not tuned:
        del stated["operating_point"]["both"]
    (models / "manifest.json").write_text(json.dumps(stated))
    monkeypatch.setenv("CAC_TRIAGE_MODELS", str(models))
    monkeypatch.setenv("CAC_TRIAGE_HOME", str(tmp_path))
    assert ("nobody chose their thresholds" in checks.models(settings.load())) is not tuned
