"""The errors winback raises on purpose.

Each message is one line that names the thing at fault and the mend, because the command
prints it as it is; the traceback goes to the log. Anything that is not a `WinbackError`
is a defect of winback.
"""

from __future__ import annotations

from collections import Counter


class WinbackError(Exception):
    """A failure whose message tells its reader what to do."""


class SettingsError(WinbackError):
    """A setting is unknown, malformed or contradicts another one."""


class SourceError(WinbackError):
    """A source can not be read: it is missing, down, empty, half written or mapped wrongly."""


class DeclarationError(WinbackError):
    """A mapping names a feed or a column that no declaration knows, or leaves one out."""


class GateFailed(WinbackError):
    """A batch or a set of marts is not fit to act on; nothing is sent from it."""


class ModelBuildFailed(WinbackError):
    """dbt could not build or test the models."""


class HistoryError(WinbackError):
    """Purchase histories or amounts contradict themselves; no value model can read them."""


class CustomerRuleError(WinbackError):
    """The file of customer rules is wrong; the message names file, rule and what to write."""


class CampaignError(WinbackError):
    """A campaign file is wrong; the message names file, line and what to write."""


class CampaignsNotSent(CampaignError):
    """Campaigns could not be sent; the others were.

    Attributes:
        sent: Of the others, how many messages took which way.
    """

    def __init__(self, message: str, sent: dict[str, Counter[str]]) -> None:
        super().__init__(message)
        self.sent = sent


class CampaignStopped(WinbackError):
    """A campaign was stopped by a program while a step ran; whatever else was to do is done."""


class DispatchRefused(WinbackError):
    """Outreach may not start: wrong transport, stale date, or a snapshot that passed no gate."""


class RateLimited(DispatchRefused):
    """The mail provider answers nothing for now.

    Attributes:
        retry_after: Until when, in seconds.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransportStopped(WinbackError):
    """The mail provider refuses this account (401 / 403); the campaign stops."""


class ServerError(WinbackError):
    """A local service (PostgreSQL, Airflow, sandbox) did not start, stop or answer."""
