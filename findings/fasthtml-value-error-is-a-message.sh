#!/bin/sh
# fasthtml-value-error-is-a-message: FastHTML sends the text of a handler's ValueError to the client, as a message.
#
# Expected: a handler that raises ends its WebSocket with an error's code, or is logged, whatever it raises.
# Seen:     a ValueError is no error: its text is sent to the client as a text message, like an answer, nothing is logged,
#           and the socket stays open. The same for JSON that does not parse, a field that is missing, and one that does not
#           convert. Any other exception drops the connection without a close frame, which is 1006.
# Matters:  the client takes the text for HTML, or for an answer: JSON.parse of it fails there, far from the cause. What your
#           code or a library puts into a ValueError, such as a value of another user, is shown to whoever asked. Catch
#           ValueError in the handler, and answer in your own words.
# Versions: python-fasthtml 0.14.14, starlette 1.10.0, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   {"user": "ann"}: text b'ann is 31'
#   {"user": "bob"}: text b'bob keeps it secret'
#   {}:              text b'Missing required field: user'
#   hello:           text b'Expecting value: line 1 column 1 (char 0' (the first 40 bytes)
#   {"user": "eve"}: end
#   the log:         KeyError
. "$(dirname "$0")/tools.sh"
python_with python-fasthtml==0.14.14 starlette==1.10.0 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import logging
import sys

import uvicorn
from fasthtml.common import FastHTML

AGES = {"ann": 31, "bob": None}
app = FastHTML()


@app.ws("/")
async def age(user: str):
    if AGES[user] is None:
        raise ValueError(f"{user} keeps it secret")
    return f"{user} is {AGES[user]}"


class Log(logging.Handler):
    def emit(self, record):
        if record.exc_info:
            print(record.exc_info[0].__name__, flush=True)


logging.getLogger().addHandler(Log())
uvicorn.run(app, port=int(sys.argv[1]), log_config=None)
END

run_python <<'END'
import asyncio
import sys

from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("python-fasthtml", "starlette", "uvicorn", "websockets")
MESSAGES = ['{"user": "ann"}', '{"user": "bob"}', "{}", "hello", '{"user": "eve"}']


async def answers(port):
    _, peer = await connect(port)
    for message in MESSAGES:
        await peer.send(frame(TEXT, message.encode(), masked=True))
        await peer.next()
    return peer.seen


port = free_port()
with running(sys.executable, "server.py", str(port), port=port) as process:
    seen = asyncio.run(answers(port))
log = process.stdout.read().split()
for message, answer in zip(MESSAGES, seen, strict=True):
    print(f"{message + ':':16} {answer}", "(the first 40 bytes)" if message == "hello" else "")
print(f"the log:         {', '.join(log)}")
compare(
    [*seen, log],
    [
        "text b'ann is 31'",
        "text b'bob keeps it secret'",
        "text b'Missing required field: user'",
        "text b'Expecting value: line 1 column 1 (char 0'",
        "end",
        ["KeyError"],
    ],
)
END
