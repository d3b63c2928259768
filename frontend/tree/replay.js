// The slider that replays how the tree grew.

const STEPS = 1000;
const LASTS_MS = 9000;
/** Who wants no motion sees the growth in a few steps. */
const CALM_STEPS = 10;
const CALM_PAUSE_MS = 900;

export class Replay {
  constructor(picture) {
    this.picture = picture;
    const { figure, tree, words } = picture;
    this.box = figure.querySelector("[data-replay]");
    this.slider = this.box.querySelector("input");
    this.button = this.box.querySelector("button");
    this.told = this.box.querySelector("output");
    this.words = words;
    this.span = tree.span();
    this.box.hidden = !this.span;
    this.slider.max = STEPS;
    this.slider.value = STEPS;
    this.slider.addEventListener("input", () => {
      this.stop();
      this.set();
    });
    this.button.addEventListener("click", () => (this.isPlaying ? this.stop() : this.play()));
    this.tell();
  }

  /** The time the slider is at; null at its end, where everybody is there. */
  get time() {
    const at = Number(this.slider.value);
    if (!this.span || at >= STEPS) return null;
    const [first, last] = this.span;
    return first + ((last - first) * at) / STEPS;
  }

  /** Go to a time; null is its end. */
  to(time) {
    this.stop();
    const [first, last] = this.span ?? [0, 1];
    this.slider.value = time === null ? STEPS : ((time - first) / (last - first)) * STEPS;
    this.set();
  }

  set() {
    this.picture.setTime(this.time);
    this.tell();
  }

  tell() {
    if (!this.span) return;
    const { tree } = this.picture;
    const { words, time } = this;
    const day = words.day(time ?? this.span[1]);
    const people = words.say("people_by", {
      n: words.number(tree.countAt(time)),
      all: words.number(tree.people.size),
    });
    this.told.textContent = `${day} · ${people}`;
    this.slider.setAttribute("aria-valuetext", `${day}, ${people}`);
  }

  play() {
    if (Number(this.slider.value) >= STEPS) this.slider.value = 0;
    this.mark(true);
    if (this.picture.calm.matches) this.stepwise();
    else this.smoothly();
  }

  smoothly() {
    let before = performance.now();
    let at = Number(this.slider.value);
    const step = (now) => {
      if (!this.isPlaying) return;
      at += (Math.max(0, now - before) / LASTS_MS) * STEPS;
      before = now;
      if (this.goTo(at)) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  stepwise() {
    if (!this.isPlaying) return;
    if (this.goTo(Number(this.slider.value) + STEPS / CALM_STEPS))
      this.timer = setTimeout(() => this.stepwise(), CALM_PAUSE_MS);
  }

  /** Whether there is more to come. */
  goTo(at) {
    this.slider.value = Math.min(STEPS, at);
    this.set();
    if (at >= STEPS) this.stop();
    return at < STEPS;
  }

  stop() {
    clearTimeout(this.timer);
    this.mark(false);
  }

  mark(on) {
    this.isPlaying = on;
    this.button.textContent = this.words.say(on ? "pause" : "play");
  }
}
