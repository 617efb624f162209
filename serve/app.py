"""What `serve run serve/config.yaml` builds."""

from truelead.service.application import build

__all__ = ["build"]
