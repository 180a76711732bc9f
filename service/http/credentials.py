"""Credentials over HTTP: the one header that says who asks, and what is answered to whom it does not let in.

A token stands in `Authorization: Bearer` and nowhere else: one in the query, in a cookie or in a body is none. This
module must never log or repeat a credential.
"""

import math
import re
from typing import Final

from aiohttp import web

from ledger.access import PREFIX, TokenRole
from service.credentials import AskedTooMuch, CredentialRefused, NotListed, Principal
from service.http.context import CONTEXT
from service.http.problems import Problem

_BEARER: Final = re.compile(rf"(?i:bearer) ({PREFIX}[A-Za-z0-9_-]{{43}})", re.ASCII)
_CHALLENGE: Final = 'Bearer realm="ledger"'


async def require(request: web.Request, *roles: TokenRole, petition: str | None = None) -> Principal:
    """Who asks, in one of these roles and allowed for this petition.

    Raises Problem: `unauthenticated`, `rate-limited`, `forbidden`, `unavailable`.
    """
    principal = await _principal(request)
    if principal.role not in roles:
        raise Problem("forbidden", "The credential's role does not allow this.")
    if petition is not None:
        within(principal, petition)
    return principal


def within(principal: Principal, petition: str) -> None:
    """Raises Problem `forbidden` where the credential is for another petition."""
    if principal.petition not in (None, petition):
        raise Problem("forbidden", "The credential is for another petition.")


async def _principal(request: web.Request) -> Principal:
    token = _token(request)
    try:
        return await request.app[CONTEXT].tokens.principal(token)
    except NotListed:
        raise _unauthenticated("The credential is not valid.", "invalid_token") from None
    except AskedTooMuch as refusal:
        retry = {"Retry-After": str(max(1, math.ceil(refusal.wait)))}
        raise Problem("rate-limited", "The credential has asked as much as it may for now.", headers=retry) from None
    except CredentialRefused:
        raise Problem("unavailable", "Credentials cannot be checked now.") from None


def _token(request: web.Request) -> str:
    """The token in the one Authorization header. One in the query, a cookie or the body is none."""
    given = request.headers.getall("Authorization", [])
    if not given:
        raise _unauthenticated("The request has no credential: Authorization: Bearer TOKEN.")
    form = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if form is None:
        raise _unauthenticated("The credential is not of its form: one header, Bearer TOKEN.", "invalid_request")
    return form[1]


def _unauthenticated(detail: str, error: str | None = None) -> Problem:
    """RFC 6750 section 3: what is needed, and of what kind was what was given."""
    challenge = _CHALLENGE if error is None else f'{_CHALLENGE}, error="{error}"'
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})
