import { readPicture } from "./picture.mjs";

const element = (id) => document.getElementById(id);
const state = element("state"), input = element("files"), drop = element("drop");
const worker = new Worker(new URL("./classifier.mjs", import.meta.url), { type: "module" });
const facts = await (await fetch("model.json")).json();
const waiting = new Map();

document.title = facts.name;
element("title").textContent = facts.name;
element("model").textContent = facts.words;

worker.onerror = (event) => say(`The model cannot be loaded: ${event.message}`, true);
worker.onmessage = ({ data }) => {
  if ("ready" in data) {
    input.disabled = !data.ready;
    const threads = data.threads === 1 ? "one thread" : `${data.threads} threads`;
    say(data.ready ? `Ready. The network computes here, on ${threads}.`
      : `The model cannot be loaded: ${data.message}`, !data.ready);
    return;
  }
  const { resolve, reject } = waiting.get(data.id);
  waiting.delete(data.id);
  if ("message" in data) reject(new Error(`The network failed: ${data.message}`));
  else resolve(data);
};

input.addEventListener("change", async () => {
  const files = [...input.files];
  input.value = "";
  await classify(files);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && !input.disabled) classify([...event.dataTransfer.files]);
  });
}

async function classify(files) {
  for (const [number, file] of files.entries()) {
    say(`Picture ${number + 1} of ${files.length} …`);
    try {
      const picture = await readPicture(file);
      show(file, await run(picture));
    } catch (error) {
      show(file, { message: error.message });
    }
  }
  say(files.length === 1 ? "Done." : `Done: ${files.length} pictures.`);
}

let last = 0;
function run({ rgb, width, height }) {
  return new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    worker.postMessage({ id: last, rgb, width, height }, [rgb.buffer]);
  });
}

function decide(scores) {
  const { classes, positive, threshold } = facts;
  if (positive === null || threshold === null) return classes[scores.indexOf(Math.max(...scores))];
  if (scores[classes.indexOf(positive)] >= threshold) return positive;
  const others = classes.filter((name) => name !== positive);
  return others.length === 1 ? others[0] : `not ${positive}`;
}

function show(file, result) {
  const item = element("result").content.cloneNode(true).firstElementChild;
  item.querySelector("h2").textContent = file.name;
  const decision = item.querySelector(".decision");
  if ("message" in result) {
    item.classList.add("bad");
    decision.textContent = result.message;
  } else {
    const image = item.querySelector("img");
    image.src = URL.createObjectURL(file);
    image.alt = `The picture ${file.name}`;
    image.onload = () => URL.revokeObjectURL(image.src);
    decision.textContent = decide(result.scores);
    item.dataset.probabilities = JSON.stringify(result.probabilities);
    item.dataset.ms = result.ms;
    const list = item.querySelector("dl");
    facts.classes.forEach((name, column) => {
      const p = result.probabilities[column];
      const [term, bar, value] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
      const meter = document.createElement("meter");
      meter.value = p;
      meter.setAttribute("aria-label", `Probability of ${name}`);
      bar.append(meter);
      term.textContent = name;
      value.textContent = p.toFixed(3);
      list.append(term, bar, value);
    });
    item.querySelector(".time").textContent = `Computed in ${Math.round(result.ms)} ms.`;
  }
  element("results").prepend(item);
}

function say(text, isBad = false) {
  state.textContent = text;
  state.classList.toggle("bad", isBad);
}
