/* Single keys: search, help, and moving in a list. Never while somebody types, never with another key held. */
"use strict";
(() => {
  const dialog = document.getElementById("keys");
  const help = document.querySelector("[data-keys-help]");
  // What a list consists of, on whichever page it stands: lines with a link, or what may be done with a case.
  const LINES = "[data-line], .list tbody tr, .todo-list li, #doing a[href]";
  // What can be done with what a page shows: with chosen lines, a case, an approval.
  const ACTS = ".bulk .buttons button, #doing .actions :is(a, summary), #desk form textarea";
  const SEARCH = "input[type=search], input#text";
  const TYPED = "textarea, select, [contenteditable], input:not([type=checkbox]):not([type=radio])";

  const linkOf = (line) => (line?.matches("a") ? line : line?.querySelector("a[href]"));
  // What is folded away is passed over.
  const lines = () => [...document.querySelectorAll(LINES)].filter((line) => linkOf(line)?.checkVisibility());
  const at = () => document.activeElement?.closest(LINES);
  const go = (line) => {
    const link = linkOf(line);
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  };
  const move = (by) => {
    const all = lines();
    const place = all.indexOf(at());
    go(all[place < 0 ? 0 : Math.min(Math.max(place + by, 0), all.length - 1)]);
  };
  const search = () => {
    const field = document.querySelector(SEARCH);
    if (field) field.focus();
    else location.assign("/console/find#text");
  };
  const show = () => {
    if (!dialog.open) dialog.showModal();
  };
  const leave = () => {
    const cancel = document.querySelector("[data-bulk-form] [data-cancel]");
    const active = document.activeElement;
    if (active?.matches(TYPED)) active.blur();
    else if (cancel) cancel.click();
    else if (at()) active.blur();
  };
  const DOES = {
    "/": search,
    "?": show,
    j: () => move(1),
    k: () => move(-1),
    x: () => at()?.querySelector("input[type=checkbox]")?.click(),
    m: () => document.querySelector(ACTS)?.focus(),
    o: () => linkOf(at())?.click(),
    a: () => (at()?.querySelector("[data-take]") ?? document.querySelector(".actions a[href*='do=acknowledge']"))?.click(),
  };

  help.hidden = false;
  help.addEventListener("click", show);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (dialog.open) return;
    if (event.key === "Escape") return leave();
    if (document.body.dataset.keys === "off" || event.target.closest?.(TYPED)) return;
    const does = DOES[event.key];
    if (!does || (event.repeat && !"jk".includes(event.key))) return;
    event.preventDefault();
    does();
  });

  // Whoever comes to search has the field at hand.
  if (location.hash === "#text") document.querySelector(SEARCH)?.focus();

  // Where the line that had the focus is gone, the one in its place gets it.
  const places = new Map();
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const line = at();
    if (line && event.detail.target.contains(line)) places.set(event.detail.target, lines().indexOf(line));
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    const place = places.get(event.detail.target) ?? -1;
    places.delete(event.detail.target);
    if (place < 0 || document.activeElement !== document.body) return;
    const all = lines();
    go(all[Math.min(place, all.length - 1)]);
  });
})();
