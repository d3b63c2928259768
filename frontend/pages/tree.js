// The picture of a referral tree, or of a campaign's spread. The page brings its words and addresses;
// without this script it shows the list.
import { control } from "../tree/controls.js";
import { KINDS } from "../tree/kinds.js";
import { Tree } from "../tree/model.js";
import { Picture } from "../tree/picture.js";
import { Replay } from "../tree/replay.js";
import { Search } from "../tree/search.js";
import { SignedOut, Source } from "../tree/source.js";
import { Words } from "../tree/words.js";

const figure = document.querySelector("[data-tree-picture]");

if (figure) {
  const given = JSON.parse(figure.querySelector("[data-given]").textContent);
  const source = new Source(given.addresses, given.mark);
  figure.hidden = false;
  source.picture().then(
    (answer) => start(given, source, answer),
    (error) => (error instanceof SignedOut ? location.reload() : fail()),
  );
}

function start(given, source, answer) {
  const begun = performance.now();
  const kind = KINDS[given.kind];
  const unit = kind.isMoney ? answer.unit : null;
  const words = new Words(given.texts, document.documentElement.lang, given.zone, unit);
  const read = (row) => {
    const person = kind.read(row);
    person.called = words.name(person);
    return person;
  };
  const hop = Math.max(0, (answer.path?.length ?? 1) - 1);
  const isPart = !kind.hasOneRoot && answer.root === null && answer.nodes.length >= given.most;
  const tree = new Tree(answer.nodes, { read, title: given.title, hop, isPart });
  const picture = new Picture(figure, { tree, kind, words, source });
  picture.replay = new Replay(picture);
  const search = new Search(picture, figure.querySelector("[data-search]"));
  control(picture, search);
  buttons(picture);
  figure.picture = picture;
  figure.removeAttribute("aria-busy");
  picture.resize();
  performance.measure("tree picture", { start: begun });
}

function buttons(picture) {
  const deeds = {
    nearer: () => picture.zoomStep(1.6),
    further: () => picture.zoomStep(1 / 1.6),
    whole: () => picture.whole(),
  };
  for (const [name, deed] of Object.entries(deeds))
    figure.querySelector(`[data-do="${name}"]`).addEventListener("click", deed);
  figure.querySelector("[data-colour]").addEventListener("change", (event) => {
    picture.colourBy(event.target.value);
  });
}

function fail() {
  figure.removeAttribute("aria-busy");
  figure.querySelector("[data-works]").hidden = true;
  figure.querySelector("[data-failed]").hidden = false;
}
