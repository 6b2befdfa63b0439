"""Stand-ins for providers that take a page at one web address: Teams workflows, ntfy, and the robots of DingTalk, WeCom and Feishu.

    async with Dingtalk(wall_clock=lambda: NOW_MS, secret="SEC1") as robot:
        contact = robot.contact()                                     # dingtalk+http://127.0.0.1:<port>/robot/send?access_token=...
        robot.tell(status=500)                                        # for the next request
        ...
        assert robot.posts[0].body["msgtype"] == "text"

Each checks what its provider checks (token, signature, sizes, how many in a minute) and answers in its provider's words; `tell` makes it
fail in ways that any server can.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.chatserver import Call, ChatServer, Told

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

Reply = tuple[int, Any]


@dataclass(frozen=True, slots=True)
class Post:
    """One request, taken or not."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    body: Mapping[str, Any]


class Hook(ChatServer):
    """The server: `posts` in the order of their arrival, `taken` those that the provider would have shown."""

    scheme = ""
    path = "/"

    def __init__(self, *, wall_clock: Callable[[], int] = lambda: 0, secret: str = "") -> None:
        super().__init__()
        self.wall_clock = wall_clock
        self.secret = secret
        self.posts: list[Post] = []
        self.taken: list[Post] = []

    def contact(self) -> str:
        """The address to write into the rules."""
        return f"{self.scheme}+http://127.0.0.1:{self.port}{self.path}"

    @property
    def where(self) -> str:
        """All of the address that a reason may name."""
        return f"127.0.0.1:{self.port}"

    def tell(self, **told: Any) -> None:
        """How the next request is answered in place of what the provider would say."""
        self.told["post"].append(Told(**told))

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/{path:.*}", self._receive)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw.decode("utf-8"))
        except ValueError:
            body = {}
        post = Post(request.path, dict(request.query), request.headers, raw, body)
        self.posts.append(post)

        def usual() -> Reply:
            taken, reply = self.judge(post)
            if taken:
                self.taken.append(post)
            return reply

        return await self.answer(request, Call("post", body, request.headers), usual)

    def judge(self, post: Post) -> tuple[bool, Reply]:
        """Whether the provider takes it, and its answer."""
        raise NotImplementedError


class Dingtalk(Hook):
    """A custom robot: access token, signature, a keyword if it is given one, 20 messages a minute and then none for ten."""

    scheme = "dingtalk"
    path = "/robot/send?access_token=hidden-token"
    keyword = ""
    per_minute_max = 20

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._at: list[int] = []
        self._blocked_until = 0

    def judge(self, post: Post) -> tuple[bool, Reply]:
        code, words = self._code(post)
        return code == 0, (200, {"errcode": code, "errmsg": words})

    def _code(self, post: Post) -> tuple[int, str]:
        now = self.wall_clock()
        if post.query.get("access_token") != "hidden-token":
            return 300005, "token is not exist"
        if self.secret and not self._is_signed(post, now):
            return 310000, "sign not match, more: [https://ding-doc.dingtalk.com/doc]"
        if post.body.get("msgtype") != "text":
            return 400105, "unsupported message type"
        content = post.body["text"]["content"]
        if len(post.raw) > 20_000:
            return 430104, "message too long, exceed 20000 bytes"
        if self.keyword not in content:
            return 310000, "keywords not in content, more: [https://ding-doc.dingtalk.com/doc]"
        self._at = [at for at in self._at if at > now - MINUTE_MS]
        if now < self._blocked_until or len(self._at) >= self.per_minute_max:
            self._blocked_until = max(self._blocked_until, now + 10 * MINUTE_MS)
            return 130101, "send too fast, exceed 20 times per minute"
        self._at.append(now)
        return 0, "ok"

    def _is_signed(self, post: Post, now: int) -> bool:
        stamp = post.query.get("timestamp", "0")
        digest = hmac.new(self.secret.encode(), f"{stamp}\n{self.secret}".encode(), hashlib.sha256).digest()
        return abs(now - int(stamp)) < HOUR_MS and post.query.get("sign") == base64.b64encode(digest).decode()


class Wecom(Hook):
    """A message robot: key, 2,048 bytes of text, 20 messages a minute; `mentioned` are those whom a text would call."""

    scheme = "wecom"
    path = "/cgi-bin/webhook/send?key=hidden-key"
    per_minute_max = 20

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._at: list[int] = []

    def judge(self, post: Post) -> tuple[bool, Reply]:
        code, words = self._code(post)
        return code == 0, (200, {"errcode": code, "errmsg": words})

    def _code(self, post: Post) -> tuple[int, str]:
        now = self.wall_clock()
        if post.query.get("key") != "hidden-key":
            return 93000, "invalid webhook url, hint: [1795370047], from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com"
        if post.body.get("msgtype") != "text":
            return 40008, "invalid message type"
        if not post.body["text"]["content"]:
            return 44004, "empty content"
        if len(post.body["text"]["content"].encode()) > 2_048:
            return 40058, "text.content exceed max length 2048"
        self._at = [at for at in self._at if at > now - MINUTE_MS]
        if len(self._at) >= self.per_minute_max:
            return 45009, "api freq out of limit, hint: [1795370047], from ip: 127.0.0.1"
        self._at.append(now)
        return 0, "ok"


class Feishu(Hook):
    """A custom bot: address, signature, a keyword if it is given one, 20 KB, 5 messages a second and 100 a minute."""

    scheme = "feishu"
    path = "/open-apis/bot/v2/hook/hidden-token"
    keyword = ""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._at: list[int] = []

    def judge(self, post: Post) -> tuple[bool, Reply]:
        code, words = self._code(post)
        status = 400 if code in {9499, 19001} else 200
        if code == 0:
            return True, (200, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})
        return False, (status, {"code": code, "data": {}, "msg": words})

    def _code(self, post: Post) -> tuple[int, str]:
        now = self.wall_clock()
        if not post.path.endswith("/hidden-token"):
            return 19001, "param invalid: incoming webhook access token invalid"
        if self.secret and not self._is_signed(post, now):
            return 19021, "sign match fail or timestamp is not within one hour from current time"
        if len(post.raw) > 20 * 1024 or post.body.get("msg_type") != "interactive":
            return 9499, "Bad Request"
        if self.keyword not in post.raw.decode():
            return 19024, "Key Words Not Found"
        self._at = [at for at in self._at if at > now - MINUTE_MS]
        if len(self._at) >= 100 or sum(at > now - 1000 for at in self._at) >= 5:
            return 11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"
        self._at.append(now)
        return 0, "success"

    def _is_signed(self, post: Post, now: int) -> bool:
        stamp = str(post.body.get("timestamp", "0"))
        digest = hmac.new(f"{stamp}\n{self.secret}".encode(), b"", hashlib.sha256).digest()
        return abs(now // 1000 - int(stamp)) < HOUR_MS // 1000 and post.body.get("sign") == base64.b64encode(digest).decode()


class Teams(Hook):
    """A workflow: the signature in its address, 28 KB; it takes what looks like a card and answers before it is posted."""

    scheme = "teams"
    path = "/workflows/0ac1/triggers/manual/paths/invoke?api-version=1&sig=hidden%2Fsig%2B1"

    def judge(self, post: Post) -> tuple[bool, Reply]:
        if post.query.get("sig") != "hidden/sig+1":
            return False, (401, {"error": {"code": "DirectApiAuthorizationRequired", "message": "The request must be authenticated."}})
        if len(post.raw) > 28 * 1024:
            return False, (413, {"error": {"code": "RequestEntityTooLarge", "message": "request entity too large"}})
        attachments = post.body.get("attachments") or [{}]
        if post.body.get("type") != "message" or attachments[0].get("contentType") != "application/vnd.microsoft.card.adaptive":
            return False, (400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "The input body does not match."}})
        return True, (202, b"")


class Ntfy(Hook):
    """A server with one protected topic: access token (`secret`), sizes, and limits as ntfy has them; messages get names."""

    scheme = "ntfy"
    path = "/kim-pages"

    def judge(self, post: Post) -> tuple[bool, Reply]:
        code, words = self._code(post)
        if code:
            return False, (code // 100, {"code": code, "http": code // 100, "error": words, "link": "https://ntfy.sh/docs/publish/"})
        shown = {name: value for name, value in post.body.items() if value}
        return True, (200, {"id": f"id{len(self.taken) + 1:08}", "time": self.wall_clock() // 1000, "event": "message", **shown})

    def _code(self, post: Post) -> tuple[int, str]:
        body = post.body
        if post.path != "/" or not isinstance(body.get("topic"), str):
            return 40017, "invalid request: request body must be message JSON"
        if self.secret and post.headers.get("Authorization") not in {f"Bearer {self.secret}", self._basic()}:
            return 40301, "forbidden"
        if len(post.raw) > 8_192:
            return 41303, "JSON body too large"
        if len(str(body.get("message", "")).encode()) > 4_096 or len(str(body.get("title", "")).encode()) > 1_024:
            return 40057, "invalid request: too long"
        if len(body.get("actions", [])) > 3 or not 1 <= body.get("priority", 3) <= 5:
            return 40018, "invalid request: actions invalid"
        return 0, ""

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"kim:{self.secret}".encode()).decode()
