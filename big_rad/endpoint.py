"""An HTTP client for language models behind an OpenAI-compatible endpoint.

It sends several requests at once, and sends a failed request again. The caller writes the bodies of
the requests and reads the replies:

    endpoint = Endpoint("http://localhost:8000/v1/chat/completions")
    answers = endpoint.ask(bodies, lambda body, reply: reply["choices"][0]["message"]["content"])
    texts = [text for text, error in answers if not error]

An answer is whatever `read`, the second argument, returns.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from big_rad import extras

with extras.needed("train"):
    import httpx

Body = dict[str, Any]
Answer = tuple[Any, str]
Read = Callable[[Body, Any], Any]
RETRIED_STATUSES = (408, 409, 425, 429)  # Statuses of 500 and above are retried as well.
_LONGEST_WAIT = 60.0  # In seconds.
_CONNECT = 10.0  # The longest time for the connection of a request that is tried once, in seconds.


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """The address of an endpoint, and how requests are sent to it.

    Attributes:
        url: the address, such as "http://localhost:8000/v1/chat/completions".
        key: the key that is sent as bearer token; "" sends none.
        concurrency: how many requests are sent at once.
        tries: how often a request is sent before it counts as failed.
        timeout: the longest time of one try, in seconds.
        wait: the time before the second try, in seconds. It doubles before each further try.

    Raises:
        ValueError: `concurrency` or `tries` is below 1, or `url` is not an address.
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
            bodies: the content of each request, which is sent as JSON.
            read: a function of a body and the JSON of its reply that returns the answer. It raises
                ValueError, KeyError, IndexError, TypeError or AttributeError if the reply is not
                usable. Then the request is sent again.
            done: a function that is called with the number of finished requests after each one.

        Returns:
            For each body the pair (the answer that `read` returned, ""), or (None, an error
            message) if the request failed.
        """
        return asyncio.run(self._all(bodies, read, done))

    def once(self, body: Body) -> tuple[int, Any]:
        """Sends one request a single time, to see whether there is a reply at all.

        Args:
            body: the content of the request, which is sent as JSON.

        Returns:
            The HTTP status, and the JSON of the reply, or its text if it is not JSON. If there was
            no reply, the status is 0 and the text says why.
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
    except ValueError:  # The header may also hold a date, which is not used.
        return 0.0
