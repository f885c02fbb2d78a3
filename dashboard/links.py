"""Names of files and links between pages; every page but those in the root folder lies one folder deep."""

from __future__ import annotations

import hashlib
import re

from markupsafe import Markup


def account_file(account_id: str) -> str:
    """The file name of an account's page; an id that would be no safe file name is replaced by its hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", account_id):
        return f"{account_id}.html"
    return f"x{hashlib.sha256(account_id.encode()).hexdigest()[:24]}.html"


def account_link(account_id: str, name: str | None, root: str = "") -> Markup:
    """A link to an account's page from a page in the root folder (or from elsewhere, with `root`)."""
    return Markup('<a href="{}accounts/{}">{}</a>').format(root, account_file(account_id), name or account_id)


def kpi_link(kpi_id: str, name: str, root: str = "") -> Markup:
    """A link to a KPI's page."""
    return Markup('<a href="{}kpis/{}.html">{}</a>').format(root, kpi_id, name)
