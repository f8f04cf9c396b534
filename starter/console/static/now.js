/* The Now page: what was chosen stays chosen as the list moves, and who wants to is told of what came. */
"use strict";
(() => {
  const panel = document.querySelector("[data-desk]");
  const said = panel.dataset;
  const moved = document.getElementById("moved");
  const form = document.getElementById("bulk");
  const todo = document.getElementById("todo");
  const put = (text, n) => text.replace("{n}", n);

  // --- choosing ---------------------------------------------------------------------------------
  const boxes = () => [...todo.querySelectorAll("input[name=case]")];
  const all = form.querySelector("[data-all]");
  const count = form.querySelector("[data-count]");
  const hint = count?.textContent;
  const counted = () => {
    if (!all) return;
    const every = boxes();
    const chosen = every.filter((box) => box.checked).length;
    count.textContent = chosen ? put(said.chosen, chosen) : hint;
    all.firstElementChild.checked = chosen > 0 && chosen === every.length;
    all.firstElementChild.indeterminate = chosen > 0 && chosen < every.length;
  };
  if (all) {
    all.hidden = false;
    all.firstElementChild.addEventListener("change", (event) => {
      for (const box of boxes()) box.checked = event.target.checked;
      counted();
    });
  }
  form.addEventListener("change", counted);
  // Enter on a box would send the form as if the first button were meant.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.type === "checkbox") event.preventDefault();
  });
  counted();

  // --- what came and what went --------------------------------------------------------------------
  const ids = () => new Set([...todo.querySelectorAll("[data-line]")].map((line) => line.dataset.id));
  const wrote = () => [...todo.querySelectorAll("[data-wrote]")].map((line) => line.dataset.id);
  const total = () => Number(todo.querySelector("[data-needs]").dataset.needs);
  // Cases of which events came since the list was taken in: what else changes in it only changed its place.
  const touched = new Set();
  let before = null;
  document.body.addEventListener("htmx:sseOpen", (event) => {
    event.detail.source.addEventListener("case", (news) => touched.add(JSON.parse(news.data).case));
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== todo) return;
    const scroll = todo.closest(".own-scroll");
    before = {
      ids: ids(), total: total(), wrote: new Set(wrote()), top: scroll.scrollTop,
      chosen: new Set(boxes().filter((box) => box.checked).map((box) => box.id)),
    };
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== todo || !before) return;
    for (const box of boxes()) box.checked = before.chosen.has(box.id) || box.checked;
    todo.closest(".own-scroll").scrollTop = before.top;
    counted();
    const now = ids();
    const more = total() - before.total;
    const came = Math.max([...now].filter((id) => !before.ids.has(id) && touched.has(id)).length, more);
    const went = Math.max([...before.ids].filter((id) => !now.has(id) && touched.has(id)).length, -more);
    const answers = new Set(wrote().filter((id) => before.ids.has(id) && !before.wrote.has(id))).size;
    before = null;
    touched.clear();
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (total()) document.title = `(${total()}) ${document.title}`;
    const words = [];
    if (came > 0) words.push(came === 1 ? said.one : put(said.several, came));
    if (went > 0) words.push(went === 1 ? said.goneOne : put(said.goneSeveral, went));
    // What came is told first, to who looks elsewhere too.
    if (answers) words.unshift(put(said.wrote, answers));
    if (words.length) moved.textContent = words.join(" ");
    if (came > 0 || answers) tell(words[0]);
  });

  // --- telling who looks elsewhere ------------------------------------------------------------------
  let sounding = null;
  const sound = () => {
    sounding ??= new AudioContext();
    sounding.resume();
    for (const [after, pitch] of [[0, 660], [0.16, 880]]) {
      const tone = new OscillatorNode(sounding, { frequency: pitch });
      const level = new GainNode(sounding, { gain: 0 });
      const at = sounding.currentTime + after;
      level.gain.linearRampToValueAtTime(0.15, at + 0.02);
      level.gain.linearRampToValueAtTime(0, at + 0.14);
      tone.connect(level).connect(sounding.destination);
      tone.start(at);
      tone.stop(at + 0.15);
    }
  };
  const tell = (text) => {
    if (said.sound === "yes") sound();
    if (said.notify !== "yes" || !("Notification" in window) || Notification.permission !== "granted") return;
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    // How many, and what is due first: nothing that a stranger at the screen must not read.
    const first = todo.querySelector("[data-needs]").dataset.first ?? "";
    const shown = new Notification(text, { body: first, tag: "caseladder-now", lang: document.documentElement.lang });
    shown.onclick = () => { window.focus(); shown.close(); };
  };
  const switches = panel.querySelector("[data-switches]");
  switches.hidden = false;
  // The browser is asked only when somebody wants it.
  switches.addEventListener("click", async (event) => {
    const button = event.target.closest("button[name=notify][value=yes]");
    if (!button) return;
    event.preventDefault();
    const allowed = "Notification" in window ? await Notification.requestPermission() : "denied";
    if (allowed === "granted") switches.requestSubmit(button);
    else moved.textContent = button.title = said.denied;
  });
  // What a page opened for is at hand as it opens.
  const opened = document.querySelector("[data-focus]");
  (opened?.querySelector("select, textarea, input:not([type=hidden])") ?? opened)?.focus();
})();
