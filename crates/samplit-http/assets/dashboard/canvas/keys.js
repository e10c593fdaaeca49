// The canvas by keyboard: everything that a mouse can do.

/** How far an arrow moves something, in pixels; with Shift so many times as far. */
const STEP = 24;
const STRIDE = 5;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function listenToKeys(canvas, editor, save) {
  const nodeOf = (event) => event.target.closest("[data-node]")?.dataset.node;

  function arrow(event, [dx, dy]) {
    const far = STEP * (event.shiftKey ? STRIDE : 1);
    const node = editor.selectedNode;
    if (nodeOf(event) && node && !editor.joining) editor.move(node.id, { x: node.x + dx * far, y: node.y + dy * far }, "keys");
    else editor.pan(-dx * far * 2, -dy * far * 2);
    editor.draw("reveal");
  }

  function press(event) {
    const id = nodeOf(event);
    switch (event.key) {
      case "Enter":
      case " ":
        if (editor.joining && id) editor.join(editor.joining, id);
        else if (editor.selected) editor.draw("edit");
        return true;
      case "Delete":
      case "Backspace":
        editor.removeSelected();
        return true;
      case "Escape":
        if (!editor.breakOff()) editor.deselect();
        canvas.focus({ preventScroll: true });
        return true;
      case "c":
      case "C":
        if (id) editor.beginWay(id);
        else editor.say("Choose the step first from which the way leads.");
        return true;
      case "+":
      case "=":
        editor.zoom(1.2);
        return true;
      case "-":
        editor.zoom(1 / 1.2);
        return true;
      case "0":
        editor.fit();
        return true;
      default:
        return false;
    }
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = ARROWS[event.key];
    if (direction) arrow(event, direction);
    else if (!press(event)) return;
    event.preventDefault();
  });

  // What has the focus is what the panel shows, except while a way is looking for its end.
  canvas.addEventListener("focusin", (event) => {
    const id = nodeOf(event);
    // A mouse selects by clicking, and may be about to move the step.
    if (!id || !event.target.matches(":focus-visible")) return;
    if (!editor.joining) editor.select("node", id);
    editor.draw("reveal");
  });

  document.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    const key = event.key.toLowerCase();
    // A field that is typed into takes back its own letters.
    const isTyping = event.target.closest("input, textarea, select");
    if (key === "s") save();
    else if (isTyping) return;
    else if (key === "z" && !event.shiftKey) editor.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) editor.redo();
    else return;
    event.preventDefault();
  });
}
