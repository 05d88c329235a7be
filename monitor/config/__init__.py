"""monitor.yaml: read strictly, refused with all its errors at once, each with file:line.

Only names and numbers live in the file. Unknown keys are errors with a suggestion; keys whose
feature is not built yet are refused as such. Paths are relative to the file.
"""

from monitor.config.log import CANONICAL, CANONICAL_PREFIXES, Log, Source
from monitor.config.models import (
    PERSONAL,
    Baseline,
    Config,
    Constraint,
    Experiment,
    Period,
    Reach,
    Scenarios,
    State,
    Training,
    Unit,
)
from monitor.config.reacting import Alerts, Channel, Rollback
from monitor.config.reading import NOT_YET, Loaded, line_of, load, load_reach, read_yaml
from monitor.config.values import UNITS, ConfigError, Model, did_you_mean

__all__ = [
    "CANONICAL",
    "CANONICAL_PREFIXES",
    "NOT_YET",
    "PERSONAL",
    "UNITS",
    "Alerts",
    "Baseline",
    "Channel",
    "Config",
    "ConfigError",
    "Constraint",
    "Experiment",
    "Loaded",
    "Log",
    "Model",
    "Period",
    "Reach",
    "Rollback",
    "Scenarios",
    "Source",
    "State",
    "Training",
    "Unit",
    "did_you_mean",
    "line_of",
    "load",
    "load_reach",
    "read_yaml",
]
