/* Fills a text to begin with into a reply, with what is promised. Without it a button does so by way of the server. */
"use strict";
(() => {
  const begin = document.querySelector("[data-begin]");
  if (!begin) return;
  const form = begin.form;
  const [text, stage, due] = ["text", "stage", "reply_by"].map((name) => form.elements[name]);
  begin.parentElement.querySelector("[data-fill]").hidden = true;
  let filled = null;
  const fill = () => {
    const chosen = begin.selectedOptions[0];
    if (!chosen.value) return;
    const promised = due.value ? due.value.slice(0, 16).replace("T", " ") : begin.dataset.unknown;
    text.value = filled = chosen.dataset.text.replaceAll("{promised}", promised);
    stage.value = chosen.dataset.stage;
  };
  begin.addEventListener("change", fill);
  // Whoever goes on in the text fills in what it leaves open.
  text.addEventListener("focus", () => {
    const blank = text.value === filled ? filled.indexOf(begin.dataset.unknown) : -1;
    if (blank >= 0) text.setSelectionRange(blank, blank + begin.dataset.unknown.length);
  });
  // What somebody has changed stays as they wrote it.
  due.addEventListener("change", () => { if (text.value === filled) fill(); });
})();
