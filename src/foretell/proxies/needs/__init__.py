"""What proxies read of the shared pass, by name; without torch."""

from foretell.proxies.needs._base import Collector, CollectorRegistry, Needs, Step, collectors

__all__ = ["Collector", "CollectorRegistry", "Needs", "Step", "collectors"]
