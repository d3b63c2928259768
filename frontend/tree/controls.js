// Mouse, fingers, wheel and keys.
import { hasBelow, isOpen } from "./model.js";

const WHEEL = 0.0016;
const WHEEL_MOST = 1.6;
const STEP = 1.6;
/** How far a press may wander and still be one. */
const WANDER = 6;

export function control(picture, search) {
  const { canvas } = picture;
  byPointer(picture, canvas);
  byWheel(picture, canvas);
  canvas.addEventListener("keydown", (event) => byKey(picture, search, event));
}

function byPointer(picture, canvas) {
  const down = new Map();
  let wandered = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    if (!down.size) wandered = 0;
    down.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = place(event);
    const from = down.get(event.pointerId);
    if (!from) {
      if (event.pointerType === "mouse") picture.hover(picture.at(to.x, to.y));
      return;
    }
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, to);
    wandered += Math.hypot(to.x - from.x, to.y - from.y);
    if (other) pinch(picture, from, to, other);
    if (wandered <= WANDER) return;
    picture.hover(null);
    canvas.classList.add("held");
    picture.pan((to.x - from.x) / down.size, (to.y - from.y) / down.size);
  });
  const up = (event) => {
    const from = down.get(event.pointerId);
    if (!from) return;
    down.delete(event.pointerId);
    canvas.classList.remove("held");
    if (event.type === "pointerup" && wandered <= WANDER)
      picture.press(picture.at(from.x, from.y, event.pointerType));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => picture.hover(null));
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    const node = picture.at(x, y);
    if (node) picture.toggle(node);
    else picture.zoom(STEP, x, y);
  });
}

function pinch(picture, from, to, other) {
  const apart = (one) => Math.max(20, Math.hypot(one.x - other.x, one.y - other.y));
  picture.zoom(apart(to) / apart(from), (to.x + other.x) / 2, (to.y + other.y) / 2);
}

function byWheel(picture, canvas) {
  canvas.addEventListener(
    "wheel",
    (event) => {
      const { view } = picture;
      const lines = event.deltaMode === 1 ? 20 : 1;
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (sideways && !event.ctrlKey) {
        event.preventDefault();
        picture.pan(-(event.deltaX || event.deltaY) * lines, 0);
        return;
      }
      // What cannot go further leaves the wheel to the page.
      if (!event.ctrlKey && (event.deltaY > 0 ? view.isWhole : view.isNearest)) return;
      event.preventDefault();
      const by = Math.exp(-event.deltaY * lines * WHEEL * (event.ctrlKey ? 4 : 1));
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      picture.zoom(Math.min(WHEEL_MOST, Math.max(1 / WHEEL_MOST, by)), x, y);
    },
    { passive: false },
  );
}

function byKey(picture, search, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const deeds = {
    ArrowUp: () => walk(picture, beside(picture, -1)),
    ArrowDown: () => walk(picture, beside(picture, 1)),
    ArrowLeft: () => walk(picture, picture.chosen?.parent),
    ArrowRight: () => inwards(picture),
    Home: () => walk(picture, picture.tree.root),
    Enter: () => (picture.chosen ? enter(picture) : walk(picture, picture.tree.root)),
    "+": () => picture.zoomStep(STEP),
    "=": () => picture.zoomStep(STEP),
    "-": () => picture.zoomStep(1 / STEP),
    0: () => picture.whole(),
    "/": () => search.focus(),
    Escape: () => picture.choose(null),
  };
  if (!Object.keys(deeds).includes(event.key)) return;
  event.preventDefault();
  picture.hover(null);
  deeds[event.key]();
}

/** The next one in the same column; whoever stands on top when nobody is chosen. */
function beside(picture, by) {
  const { chosen, tree } = picture;
  if (!chosen || !picture.isSeen(chosen)) return tree.root;
  const column = tree.columns[chosen.column];
  for (let at = chosen.place + by; column[at]; at += by) if (picture.isThere(column[at])) return column[at];
  return null;
}

function inwards(picture) {
  const { chosen } = picture;
  if (!chosen || !picture.isSeen(chosen)) return walk(picture, picture.tree.root);
  if (chosen.rest) return undefined;
  if (hasBelow(chosen) && !isOpen(chosen)) return picture.toggle(chosen);
  return walk(picture, chosen.kids.find((one) => picture.isThere(one)));
}

function enter(picture) {
  const { chosen } = picture;
  return chosen.rest ? picture.open(chosen.parent) : picture.toggle(chosen);
}

function walk(picture, node) {
  if (!node) return;
  picture.choose(node);
  picture.keepInSight(node);
}
