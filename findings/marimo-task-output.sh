#!/bin/sh
# marimo-task-output: in marimo, what a task prints goes to whichever cell runs, or to the terminal, not to its own cell.
#
# Expected: a task that a cell starts, and that prints as messages arrive, prints below that cell, as in Jupyter.
# Seen:     while another cell runs, it prints below that one. While none runs, it prints to the terminal that the server was
#           started in, and the notebook shows nothing.
# Matters:  `incoming.subscribe(print)` in a notebook seems to do nothing, and its first lines stand below a cell that has
#           nothing to do with them. Show messages with a widget or `mo.state`, or await them in the cell itself.
# Versions: marimo 0.25.2, aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-12-01:
#   the first cell, which starts the task: started
#   the second cell, which sleeps:         tick 1, tick 2, slept
#   the terminal of the server:            tick 3, tick 4
. "$(dirname "$0")/tools.sh"
python_with marimo==0.25.2 aiohttp==3.14.5

export PYTHONUNBUFFERED=1 # the terminal's lines are read from a pipe

cat > notebook.py <<'END'
import marimo

app = marimo.App()


@app.cell
def _():
    import asyncio

    async def work():
        for number in range(1, 5):
            await asyncio.sleep(1)
            print("tick", number)

    task = asyncio.create_task(work())
    print("started")
    return asyncio, task


@app.cell
async def _(asyncio, task):
    task
    await asyncio.sleep(2.5)
    print("slept")
    return
END

run_python <<'END'
import asyncio
import json
import re

import aiohttp
from wire import compare, free_port, running, versions

versions("marimo", "aiohttp")


async def cells(port):
    """Return what each cell printed, in the order of the cells."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        async with http.get("/") as page:
            token = re.search(r'serverToken["\']?:\s*["\']([^"\']+)', await page.text())[1]
        printed, completed = {}, asyncio.Event()
        async with http.ws_connect("/ws?session_id=s_finding") as socket:

            async def read():
                async for message in socket:
                    operation = json.loads(message.data)
                    data = operation["data"]
                    if operation["op"] == "kernel-ready":
                        printed.update((cell, "") for cell in data["cell_ids"])
                    elif operation["op"] == "cell-op" and data.get("console"):
                        console = data["console"] if isinstance(data["console"], list) else [data["console"]]
                        printed[data["cell_id"]] += "".join(each["data"] for each in console)
                    elif operation["op"] == "completed-run":
                        completed.set()

            reading = asyncio.create_task(read())
            headers = {"Marimo-Session-Id": "s_finding", "Marimo-Server-Token": token}
            body = {"objectIds": [], "values": [], "autoRun": True}
            async with http.post("/api/kernel/instantiate", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            await asyncio.wait_for(completed.wait(), 60)
            await asyncio.sleep(4)
            reading.cancel()
        return [", ".join(text.splitlines()) for text in printed.values()]


port = free_port()
command = ("marimo", "-q", "edit", "--headless", "--no-token", "--port", str(port), "notebook.py")
with running(*command, port=port) as process:
    first, second = asyncio.run(cells(port))
terminal = ", ".join(re.findall(r"tick \d|started|slept", process.stdout.read()))
print(f"the first cell, which starts the task: {first}")
print(f"the second cell, which sleeps:         {second}")
print(f"the terminal of the server:            {terminal}")
compare([first, second, terminal], ["started", "tick 1, tick 2, slept", "tick 3, tick 4"])
END
