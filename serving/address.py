"""Where the marts are served: a PostgreSQL address that is never shown with its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from orchestration.variables import UsageError

BI_ROLE = "csw_bi"
ANALYST_ROLE = "csw_analyst"
EXAMPLE = "postgresql://user@host:5432/database"


@dataclass(frozen=True)
class Server:
    """One database to serve to, and the two roles that may read there.

    `url` may hold a password, so it's in no repr; say `label` instead, and pass every message through `clean`.
    """

    url: str = field(repr=False)
    label: str
    bi_role: str = BI_ROLE
    analyst_role: str = ANALYST_ROLE

    def clean(self, text: str) -> str:
        """The text without the address and its password, in whatever way they are written."""
        parts = urlsplit(self.url)
        secrets = [parts.password, *parse_qs(parts.query).get("password", [])]
        written = {form for secret in secrets if secret for form in (secret, unquote(secret))}
        text = text.replace(self.url, self.label)
        for secret in sorted(written, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def server_of(url: str, bi_role: str | None = None, analyst_role: str | None = None) -> Server:
    """A server from its libpq address.

    Raises:
        UsageError: it isn't an address of a PostgreSQL database, or a role is no plain name. Neither is repeated whole.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError as error:
        raise UsageError(f"the address to serve to can't be read; it looks like {EXAMPLE}") from error
    database = parts.path.lstrip("/")
    if parts.scheme not in ("postgresql", "postgres") or not database or not re.fullmatch(r"[^\s]+", url):
        raise UsageError(f"the address to serve to must look like {EXAMPLE}")
    roles = (bi_role or BI_ROLE, analyst_role or ANALYST_ROLE)
    for role in roles:
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
            raise UsageError(f"a role's name has small letters, digits and underscores, not {role!r}")
    if roles[0] == roles[1]:
        raise UsageError("BI and analysts need two roles: the first must not see what the second may")
    host = parts.hostname or "local"
    return Server(url, f"{host}:{port}/{database}", *roles)
