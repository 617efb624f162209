"""Ask a running service, from Python."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from pydantic import ValidationError

from truelead.errors import ServiceError
from truelead.service.access import is_loopback
from truelead.service.wire import AskResponse, ErrorResponse
from truelead.types import LEADS, Ecg

ATTEMPTS = 3
_LONGEST_WAIT_SECONDS = 5.0
_AGAIN = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


def ask(
    url: str,
    ecgs: Sequence[Ecg],
    question: str,
    options: Sequence[str] | None = None,
    *,
    token: str | None = None,
    attribution: bool = False,
    model: str | None = None,
    timeout: float = 60.0,
) -> AskResponse:
    """The service's answer to a question about one or two ECGs.

    Only samples, rate and units leave this process: no record or patient names. Asked again, a
    little later, where the service is unreachable or overloaded.

    Args:
        url: of the service, such as "http://127.0.0.1:8000".
        options: the closed set to choose from; None for a free answer.
        token: the service's bearer token, if it asks for one.
        attribution: also say which leads and stretches of time the answer rests on.
        model: a name of /v1/models; None: the service's base model.
        timeout: seconds for each attempt.

    Raises:
        ServiceError: the service refuses (with its HTTP status and its line), is not reachable
            (503) or too slow (504).
    """
    body: dict[str, Any] = {"question": question, "ecgs": [to_wire(ecg) for ecg in ecgs]}
    if options:
        body["options"] = list(options)
    if attribution:
        body["attribution"] = True
    if model is not None:
        body["model"] = model
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # A proxy of the environment has no business between this machine and itself.
    through_proxy = not is_loopback(_host(url))
    with httpx.Client(timeout=timeout, headers=headers, trust_env=through_proxy) as client:
        response = _post(client, f"{url.rstrip('/')}/v1/ask", body)
    if response.status_code != httpx.codes.OK:
        raise ServiceError(_message(response), status=response.status_code)
    try:
        return AskResponse.model_validate_json(response.content)
    except ValidationError:
        raise ServiceError(
            f"{url}: expected a TrueLead answer, found another", status=502
        ) from None


def to_wire(ecg: Ecg) -> dict[str, Any]:
    """An ECG as the request has it: mV to a nanovolt, None where not recorded."""
    leads: dict[str, list[float | None] | None] = {}
    for lead, samples_T in zip(LEADS, ecg.signal_LT, strict=True):
        known_T = np.isfinite(samples_T)
        values = np.round(samples_T.astype(np.float64), 6).tolist()
        if not known_T.any():
            leads[lead] = None
        elif known_T.all():
            leads[lead] = values
        else:
            leads[lead] = [v if known else None for v, known in zip(values, known_T, strict=True)]
    return {"sampling_rate": float(ecg.sampling_rate), "units": "mV", "leads": leads}


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in {"http", "https"} else None
    except ValueError:
        host = None
    if not host:
        raise ServiceError(f"{url}: expected the http address of a service")
    return host


def _post(client: httpx.Client, url: str, body: dict[str, Any]) -> httpx.Response:
    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        wait = 0.5 * 2**attempt
        try:
            response = client.post(url, json=body)
        except httpx.TimeoutException:
            raise ServiceError(
                f"{url}: expected an answer in time, found none", status=504
            ) from None
        except httpx.TransportError as error:
            if last:
                raise ServiceError(
                    f"{url}: expected a running service, found {type(error).__name__}", status=503
                ) from None
        else:
            if response.status_code not in _AGAIN or last:
                return response
            wait = _retry_after(response, wait)
        time.sleep(min(wait, _LONGEST_WAIT_SECONDS))
    raise AssertionError("the last attempt returns or raises")


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 6 else otherwise


def _message(response: httpx.Response) -> str:
    try:
        return ErrorResponse.model_validate_json(response.content).error.message
    except ValidationError:
        return f"the service answered HTTP {response.status_code}"
