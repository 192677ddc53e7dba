"""Rooms in FastAPI: a dependency decides who may come in, the handler is a pipeline.

pip install fastapi "rxws[asgi]"
python examples/fastapi_rooms.py    # then open http://localhost:8080/?name=ann twice
"""

import os
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from reactivex import Observable
from reactivex import operators as ops

import rxws
import rxws.asgi

app = FastAPI(lifespan=rxws.asgi.lifespan())
rooms: rxws.Rooms[dict[str, str]] = rxws.Rooms()


def visitor(name: str = "") -> str:
    if not name.isalpha():
        raise HTTPException(403, "a name has letters")
    return name


@app.websocket("/rooms/{room}")
@rxws.asgi.websocket(codec=rxws.json)
def chat(room: str, incoming: Observable[str], name: Annotated[str, Depends(visitor)]) -> Observable[dict[str, str]]:
    said = incoming.pipe(ops.map(lambda text: {"name": name, "text": text}))
    arrival = ops.start_with({"name": name, "text": "is here"})
    said.pipe(arrival).subscribe(rooms[room])
    return rooms[room].pipe(arrival)


PAGE = """<!doctype html>
<meta charset="utf-8"><title>Rooms</title><link rel="icon" href="data:,">
<form><input name="text" autocomplete="off"><button>Say</button></form><ul></ul><p></p>
<script type="module">
  const socket = new WebSocket(`ws://${location.host}/rooms/lobby${location.search}`);
  const form = document.querySelector("form");
  socket.onmessage = ({data}) => {
    const {name, text} = JSON.parse(data), line = document.createElement("li");
    line.textContent = `${name}: ${text}`;
    document.querySelector("ul").append(line);
  };
  socket.onclose = ({code}) => { document.querySelector("p").textContent = `closed, ${code}`; };
  form.onsubmit = (event) => { event.preventDefault(); socket.send(JSON.stringify(form.text.value)); form.reset(); };
</script>
"""


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8080")))
