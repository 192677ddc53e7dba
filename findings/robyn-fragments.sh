#!/bin/sh
# robyn-fragments: a server on Robyn drops each message that comes in fragments, and says nothing.
#
# Expected: a message in fragments (RFC 6455, section 5.4) is one message to the handler. A server that does not take them
#           closes with 1003 or 1009.
# Seen:     the handler gets the messages before and after it. There is no error, no close, and no line in the log.
# Matters:  clients fragment what they make piece by piece, such as a file or a long JSON text. The sender learns nothing,
#           and short messages, as in tests, arrive. Let such clients join their pieces first, and let the server confirm
#           what has arrived with a message.
# Versions: robyn 0.88.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   sent: 'before', 'in ' and 'pieces' as one message, 'after'
#   the handler gets: 'before', 'after'
. "$(dirname "$0")/tools.sh"
python_with robyn==0.88.0 websockets==17.4

cat > app.py <<'END'
import sys

from robyn import Robyn

app = Robyn(__file__)


@app.websocket("/echo")
async def echo(socket):
    while True:
        await socket.send_text(await socket.receive_text())


app.start(host="127.0.0.1", port=int(sys.argv[1]))
END

run_python <<'END'
import asyncio

from websockets.asyncio.client import connect
from wire import compare, free_port, running, versions

versions("robyn", "websockets")


async def echoed(port):
    async with connect(f"ws://127.0.0.1:{port}/echo", close_timeout=1) as socket:
        await socket.send("before")
        await socket.send(["in ", "pieces"])
        await socket.send("after")
        answers = [await socket.recv()]
        while answers[-1] != "after":
            answers.append(await socket.recv())
        return answers


port = free_port()
with running("venv/bin/python", "app.py", str(port), port=port):
    answers = asyncio.run(echoed(port))
print("sent: 'before', 'in ' and 'pieces' as one message, 'after'")
print("the handler gets:", ", ".join(map(repr, answers)))
compare(answers, ["before", "after"])
END
