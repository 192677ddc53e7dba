#!/bin/sh
# nbclient-background-output: what a task shows while a later cell runs is missing in a notebook that nbclient executes.
#
# Expected: a task that the first cell starts goes on while the second one runs. What it prints, and how it updates a display
#           (`shown = display(..., display_id=True)`, then `shown.update`), is in the executed notebook.
# Seen:     ipykernel sends it all, with the request of the first cell as parent. nbclient, which waits for the second cell
#           by then, skips each message that has another parent, also updates of a display, which have an id of their own.
#           The notebook keeps the display as it was at first, and no line of text.
# Matters:  live pictures, tables and progress bars stay at their first state in notebooks that nbconvert, papermill or a
#           test runs, though each cell succeeds. Update once more from the cell that awaits the task.
# Versions: nbclient 0.11.0, ipykernel 7.4.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   the kernel sends, for cell 1: display 'waiting', tick 0, update 'state 0', tick 1, update 'state 1'
#   the kernel sends, for cell 2: nothing
#   the notebook has, in cell 1: 'waiting'
#   the notebook has, in cell 2: nothing
#   the notebook has, if cell 2 updates the display too: 'the end'
. "$(dirname "$0")/tools.sh"
python_with nbclient==0.11.0 ipykernel==7.4.0
export HOME="$folder" IPYTHONDIR="$folder" JUPYTER_RUNTIME_DIR="$folder"
mkdir profile_default
echo 'c.IPKernelApp.log_level = "ERROR"' > profile_default/ipython_kernel_config.py

run_python <<'END'
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat import v4
from wire import compare, versions

versions("nbclient", "ipykernel")
STARTS = """
import asyncio
from IPython.display import display

shown = display("waiting", display_id=True)

async def live():
    for n in range(2):
        await asyncio.sleep(0.2)
        print("tick", n)
        shown.update(f"state {n}")

task = asyncio.create_task(live())
"""
AWAITS = "await task"
UPDATES = "await task\nshown.update('the end')"


def sent(*cells):
    """Execute the cells, and return what the kernel sends for each."""
    manager, client = start_new_kernel()
    try:
        requests = [client.execute(cell) for cell in cells]
        lines = {request: [] for request in requests}
        while True:
            message = client.get_iopub_msg(timeout=20)
            content, parent = message["content"], message["parent_header"].get("msg_id")
            match message["msg_type"]:
                case "stream":
                    lines[parent].append(content["text"].strip())
                case "display_data":
                    lines[parent].append("display " + content["data"]["text/plain"])
                case "update_display_data":
                    lines[parent].append("update " + content["data"]["text/plain"])
                case "status" if content["execution_state"] == "idle" and parent == requests[-1]:
                    return [", ".join(line) or "nothing" for line in lines.values()]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def stored(*cells):
    """Execute the cells with nbclient, and return what the notebook has for each."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=30, kernel_name="python3").execute()
    found = [[output.get("text") or output.data["text/plain"] for output in cell.outputs] for cell in notebook.cells]
    return [", ".join(outputs) or "nothing" for outputs in found]


kernel, notebook, updated = sent(STARTS, AWAITS), stored(STARTS, AWAITS), stored(STARTS, UPDATES)
for n in (0, 1):
    print(f"the kernel sends, for cell {n + 1}: {kernel[n]}")
for n in (0, 1):
    print(f"the notebook has, in cell {n + 1}: {notebook[n]}")
print("the notebook has, if cell 2 updates the display too:", updated[0])
live = "display 'waiting', tick 0, update 'state 0', tick 1, update 'state 1'"
compare((kernel, notebook, updated), ([live, "nothing"], ["'waiting'", "nothing"], ["'the end'", "nothing"]))
END
