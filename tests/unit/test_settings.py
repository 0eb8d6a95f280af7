"""Unsafe values refuse to start."""

import pathlib

import pytest

from triage import errors, settings


@pytest.mark.parametrize(
    "unsafe",
    [
        {"max_thickness_mm": float("nan")},
        {"max_metal_hu": float("inf")},
        {"max_blood_hu": 1000.0},
        {"max_noise_hu": float("nan")},
        {"lease_seconds": float("inf")},
        {"high_from_agatston": float("nan")},
        {"kvp": 80.0},
        {"admit": "calcium|cardiac|"},
        {"admit": "("},
        {"quiet_seconds": 1.0},
        {"database_url": "mysql://x"},
    ],
    ids=str,
)
def test_an_unsafe_setting_is_refused_in_words(unsafe):
    with pytest.raises(errors.SettingsError):
        settings.load(**unsafe)


def test_the_defaults_are_safe():
    assert settings.load().max_thickness_mm == 3.5


def test_every_setting_reaches_the_containers():
    root = pathlib.Path(settings.__file__).parent.parent
    named = (root / "docker-compose.yml").read_text() + (root / "Dockerfile").read_text()
    wanted = {f"CAC_TRIAGE_{name.upper()}" for name in settings.Settings.model_fields}
    fixed = {"CAC_TRIAGE_MODELS"}  # the image's own
    assert {name for name in wanted if f"{name}:" not in named and f"{name}=" not in named} == fixed
