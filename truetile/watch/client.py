"""HTTP with a running ComfyUI, by the standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ..errors import InvalidArgument

DEFAULT_URL = "http://127.0.0.1:8188"


class ServerSilent(Exception):
    """Nobody answers there, or not in a form that ComfyUI uses; the message says which."""


class Refused(Exception):
    """The server answered with an error. `status` is HTTP's number, `body` what it said."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(_say(status, body))
        self.status, self.body = status, body


class Client:
    """One server. Raises InvalidArgument for a URL that is none."""

    def __init__(self, url: str = DEFAULT_URL, timeout: float = 10.0) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidArgument(f"server={url}: must be a URL such as {DEFAULT_URL}")
        self.url = url.rstrip("/")
        self._timeout = timeout

    def get(self, path: str, timeout: float | None = None) -> Any:
        """The JSON at `path`. Raises ServerSilent or Refused."""
        return self._ask(urllib.request.Request(self.url + path), timeout)

    def post(self, path: str, body: Any, timeout: float | None = None) -> Any:
        """Sends `body` as JSON; gives the JSON of the answer, None where it is empty."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(self.url + path, data, headers), timeout)

    def _ask(self, request: urllib.request.Request, timeout: float | None) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=timeout or self._timeout) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _json(error.read())) from None
        except TimeoutError:
            raise ServerSilent(f"{self.url} does not answer in time") from None
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise ServerSilent(f"{self.url}: {reason}") from None
        except (OSError, ValueError) as error:
            raise ServerSilent(f"{self.url}: {error}") from None
        except Exception as error:  # http.client's own errors: a server that breaks off
            raise ServerSilent(f"{self.url}: {type(error).__name__}") from None
        if not data:
            return None
        found = _json(data)
        if found is None:
            raise ServerSilent(f"{self.url}{request.selector}: not JSON, is it ComfyUI?")
        return found


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _say(status: int, body: Any) -> str:
    """ComfyUI's and our own errors in one line."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        details = [error.get("message"), error.get("details")]
        for node, found in (body.get("node_errors") or {}).items():
            for entry in found.get("errors", []):
                details.append(f"node {node}: {entry.get('message')} ({entry.get('details')})")
        error = "; ".join(str(detail) for detail in details if detail)
    return str(error or f"HTTP {status}").replace("\n", " ")
