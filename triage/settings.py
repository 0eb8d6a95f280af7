"""Every setting of the node, from the environment: one typed, frozen object. Unsafe values refuse to start."""

import pathlib
import re
from typing import Annotated, Literal

import pydantic
import pydantic_settings

from cac import finding, suitability
from triage import errors

ADMITTED = r"calcium|\bcac\b|\bcacs\b|ca[ -]?scor|agatston|cardiac|heart|coronar"
NOT_ADMITTED = r"chest|thorax|thorac|lung|angio|\bcta\b|tavi|pulmon|abdom|aorta"


class Settings(pydantic_settings.BaseSettings):
    """Hold the node's settings; each is read from `CAC_TRIAGE_<NAME>`."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="CAC_TRIAGE_", frozen=True, extra="forbid")

    home: pathlib.Path = pathlib.Path("cac-triage-home")
    database_url: str = ""  # empty: SQLite in home
    broker_url: str = ""  # empty: files in home
    models: pathlib.Path = pathlib.Path(__file__).resolve().parent.parent / "models"

    ae_title: Annotated[str, pydantic.Field(min_length=1, max_length=16)] = "CACTRIAGE"
    dicom_host: str = "127.0.0.1"
    dicom_port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 11112
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8080
    listeners: Annotated[int, pydantic.Field(ge=1, le=64)] = 1  # processes that share the port
    max_associations: Annotated[int, pydantic.Field(ge=1)] = 32  # of each listener
    called_aet_check: bool = False
    refuse_non_ct: bool = False
    min_free_bytes: Annotated[int, pydantic.Field(ge=0)] = 1 << 30

    settle_seconds: Annotated[float, pydantic.Field(gt=0, le=3600)] = 2.0
    quiet_seconds: Annotated[float, pydantic.Field(gt=0, le=86400)] = 20.0
    lease_seconds: Annotated[float, pydantic.Field(gt=0, le=3600)] = 30.0
    task_seconds: Annotated[float, pydantic.Field(gt=0, le=86400)] = 300.0
    max_attempts: Annotated[int, pydantic.Field(ge=1)] = 4

    architecture: Literal["both", "dilated", "plain"] = "both"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, pydantic.Field(ge=0)] = 0  # 0: all cores
    evaluation: finding.Evaluation = finding.Evaluation.SPARSE

    admit: str = ADMITTED
    admit_not: str = NOT_ADMITTED
    admit_codes: tuple[str, ...] = ("426005005",)
    high_from_agatston: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | None = None

    kvp: Annotated[float, pydantic.Field(ge=110, le=130)] = 120.0
    kernels: tuple[str, ...] = suitability.Limits().kernels
    max_thickness_mm: Annotated[float, pydantic.Field(gt=0, le=5)] = 3.5
    max_noise_hu: Annotated[float, pydantic.Field(gt=0, le=60)] = 40.0
    max_blood_hu: Annotated[float, pydantic.Field(gt=0, le=120)] = 90.0
    max_metal_hu: Annotated[float, pydantic.Field(gt=0, le=4000)] = 2500.0

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Settings":
        for name in ("admit", "admit_not"):
            try:
                re.compile(getattr(self, name))
            except re.error as exc:
                raise ValueError(f"{name} is no regular expression: {exc}") from exc
        if self.admit and re.search(self.admit, ""):
            raise ValueError("admit matches everything: every study could be lowered")
        if self.quiet_seconds < self.settle_seconds:
            raise ValueError("quiet_seconds must not be shorter than settle_seconds")
        if self.database_url and not self.database_url.startswith(("sqlite:", "postgresql+pg8000:")):
            raise ValueError("database_url must start with sqlite: or postgresql+pg8000:")
        if self.broker_url and not self.broker_url.startswith(("redis:", "rediss:")):
            raise ValueError("broker_url must start with redis: or rediss:, or be empty for files")
        return self

    @property
    def spool(self) -> pathlib.Path:
        """Return the folder that holds received files as they came."""
        return self.home / "spool"

    @property
    def results(self) -> pathlib.Path:
        """Return the folder that holds SEG objects and previews."""
        return self.home / "results"

    @property
    def database(self) -> str:
        """Return the SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.home / 'cac-triage.sqlite').resolve()}"

    @property
    def limits(self) -> suitability.Limits:
        """Return what a header and an image must keep to."""
        return suitability.Limits(
            kvp=self.kvp,
            kernels=self.kernels,
            max_thickness_mm=self.max_thickness_mm,
            noise_sd_hu=self.max_noise_hu,
            contrast_hu=self.max_blood_hu,
            metal_hu=self.max_metal_hu,
        )


def load(**overrides: object) -> Settings:
    """Read the settings; explicit values win over the environment.

    Raises SettingsError with one line a value that is wrong.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except pydantic.ValidationError as exc:
        lines = [
            f"{'.'.join(str(part) for part in error['loc']) or 'settings'}: {error['msg']}" for error in exc.errors()
        ]
        raise errors.SettingsError("; ".join(lines)) from exc
