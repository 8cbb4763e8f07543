"""Networks from architectures and from users' code."""

from foretell.networks._build import build, build_module, check_parameters

__all__ = ["build", "build_module", "check_parameters"]
