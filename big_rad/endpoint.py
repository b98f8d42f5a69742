"""An HTTP client of language models behind an OpenAI-compatible endpoint.

It sends requests side by side, and again where one fails. It knows neither what is asked nor what
comes back.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import httpx

Body = dict[str, Any]
Answer = tuple[Any, str]
Read = Callable[[Body, Any], Any]
RETRIED_STATUSES = (408, 409, 425, 429)  # and all of 500 and above: these pass
_LONGEST_WAIT = 60.0
_CONNECT = 10.0  # seconds until there is a connection, where one is tried once


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where requests go, and how often.

    Attributes:
        url: such as "http://localhost:8000/v1/chat/completions".
        key: sent as bearer token, if there is one.
        concurrency: requests at once.
        tries: of each, before it is a failure.
        timeout: seconds of each try.
        wait: seconds before the second try; doubled each time.

    Raises:
        ValueError: no request at once, no try, or no address.
    """

    url: str
    key: str = ""
    concurrency: int = 16
    tries: int = 5
    timeout: float = 120.0
    wait: float = 1.0

    def __post_init__(self):
        if self.concurrency < 1 or self.tries < 1:
            raise ValueError(
                f"concurrency {self.concurrency} and tries {self.tries} are at least 1"
            )
        try:
            known = httpx.URL(self.url).scheme in ("http", "https")
        except httpx.InvalidURL:
            known = False
        if not known:
            raise ValueError(f"{self.url} is no address; give one such as http://localhost:8000/v1")

    def ask(
        self,
        bodies: Sequence[Body],
        read: Read,
        done: Callable[[int], None] = lambda count: None,
    ) -> list[Answer]:
        """Sends requests.

        Args:
            bodies: what each posts, as JSON.
            read: takes a body and the JSON that came back for it, and gives what it says; raises
                ValueError, KeyError, IndexError, TypeError or AttributeError for a reply that is
                not what was asked for, which is then asked for again.
            done: called after each answer with how many there are.

        Returns:
            For each body (what `read` gave, ""), or (None, what went wrong).
        """
        return asyncio.run(self._all(bodies, read, done))

    def once(self, body: Body) -> tuple[int, Any]:
        """Sends one request a single time, to see whether an answer comes at all.

        Args:
            body: what is posted, as JSON.

        Returns:
            (HTTP status, the JSON that came back, or its text where it is not JSON). With status 0
            nothing came back, and the text says why.
        """
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limit = httpx.Timeout(self.timeout, connect=min(self.timeout, _CONNECT))
        try:
            with httpx.Client(timeout=limit, headers=headers) as client:
                reply = client.post(self.url, json=body)
        except httpx.HTTPError as e:
            return 0, f"{type(e).__name__}: {e}".removesuffix(": ")
        try:
            return reply.status_code, reply.json()
        except ValueError:
            return reply.status_code, reply.text

    async def _all(
        self, bodies: Sequence[Body], read: Read, done: Callable[[int], None]
    ) -> list[Answer]:
        places, count = asyncio.Semaphore(self.concurrency), 0
        limits = httpx.Limits(max_connections=self.concurrency)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with httpx.AsyncClient(
            timeout=self.timeout, limits=limits, headers=headers
        ) as client:

            async def one(body: Body) -> Answer:
                nonlocal count
                async with places:
                    found = await self._one(client, body, read)
                count += 1
                done(count)
                return found

            return list(await asyncio.gather(*map(one, bodies)))

    async def _one(self, client: httpx.AsyncClient, body: Body, read: Read) -> Answer:
        error = ""
        for number in range(self.tries):
            if number:
                await asyncio.sleep(min(self.wait * 2 ** (number - 1), _LONGEST_WAIT))
            try:
                reply = await client.post(self.url, json=body)
                if reply.status_code in RETRIED_STATUSES or reply.status_code >= 500:
                    error = f"HTTP {reply.status_code}"
                    await asyncio.sleep(_retry_after(reply))
                    continue
                if reply.status_code != 200:  # Asking again would not help.
                    return None, f"HTTP {reply.status_code}: {reply.text[:200]}"
                return read(body, reply.json()), ""
            except httpx.HTTPError as e:
                error = f"{type(e).__name__}: {e}"
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as e:
                error = f"not what was asked for ({type(e).__name__}: {e})"
        return None, error


def _retry_after(reply: httpx.Response) -> float:
    try:
        return min(max(float(reply.headers.get("Retry-After", 0)), 0.0), _LONGEST_WAIT)
    except ValueError:  # A date.
        return 0.0
