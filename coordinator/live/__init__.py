"""The running firm: departments in operation, their policies exchanged while the others go on."""

from coordinator.live.running_firm import RunningFirm

__all__ = ["RunningFirm"]
