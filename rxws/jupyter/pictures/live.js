// Shows the picture that Python draws; hides the one that is stored for where no script runs.
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "rxws-live";
  root.style.cssText = "position:relative;max-width:900px";
  const picture = document.createElement("div");
  const button = document.createElement("button");
  button.type = "button";
  button.style.cssText =
    "position:absolute;top:4px;right:4px;font:500 12px ui-sans-serif,system-ui,sans-serif;padding:2px 10px;" +
    "border:1px solid #8a94a6;border-radius:99px;background:#eef2f8;color:#1c2330;cursor:pointer;opacity:.85";
  root.append(picture, button);
  el.append(root);

  let paused = false;
  const draw = () => {
    const live = model.get("live");
    button.hidden = !live && !paused;
    button.textContent = paused ? "go on" : "pause";
    button.setAttribute("aria-pressed", String(paused));
    if (!paused) picture.innerHTML = model.get("html");
  };
  button.addEventListener("click", () => { paused = !paused; draw(); });
  model.on("change:html", draw);
  model.on("change:live", draw);
  draw();

  const hide = document.createElement("style");
  hide.textContent = `.rxws-still-${model.get("name")}{display:none}`;
  document.head.append(hide);
  return () => {
    model.off("change:html", draw);
    model.off("change:live", draw);
    hide.remove();
  };
}

export default { render };
