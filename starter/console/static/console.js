/* Counts instants down, and says when the connection is lost. Every page works without it. */
"use strict";
(() => {
  const words = JSON.parse(document.body.dataset.words);
  // The server's clock counts, not this machine's.
  const ahead = Date.parse(document.body.dataset.now) - Date.now();
  const SOON = 15 * 60;

  const put = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const two = (whole, size, name, rest) => {
    const large = Math.floor(whole / size.large);
    const small = Math.floor((whole % size.large) / size.small);
    return small ? put(words[rest], { [name[0]]: large, [name[1]]: small }) : put(words[name[2]], { n: large });
  };
  const span = (seconds) => {
    const whole = Math.floor(seconds);
    if (whole < 90) return put(words.seconds, { n: whole });
    if (whole < 90 * 60) return put(words.minutes, { n: Math.floor(whole / 60) });
    if (whole < 36 * 3600) return two(whole, { large: 3600, small: 60 }, ["h", "m", "hours"], "hours_minutes");
    return two(whole, { large: 86400, small: 3600 }, ["d", "h", "days"], "days_hours");
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const shown of document.querySelectorAll(".rel[data-at]")) {
      const left = (Date.parse(shown.dataset.at) - now) / 1000;
      const text = Math.abs(left) < 1 ? words.now : put(left > 0 ? words.in : words.ago, { span: span(Math.abs(left)) });
      if (shown.textContent !== text) shown.textContent = text;
      if ("due" in shown.dataset) {
        shown.classList.toggle("late", left < 0);
        shown.classList.toggle("soon", left >= 0 && left <= SOON);
      }
    }
  };
  tick();
  setInterval(tick, 1000);

  const live = document.getElementById("live");
  const banner = document.getElementById("lost");
  let waiting = 0;
  const say = (state, text) => {
    if (!live || !banner) return;
    live.dataset.state = state;
    live.textContent = state === "open" ? live.dataset.open : live.dataset.lost;
    banner.hidden = state === "open";
    if (text) banner.firstElementChild.textContent = text;
  };
  document.body.addEventListener("htmx:sseOpen", () => {
    clearTimeout(waiting);
    waiting = 0;
    say("open");
  });
  // The server lets everybody come back now and then; only what lasts is worth a word.
  document.body.addEventListener("htmx:sseError", () => {
    waiting ||= setTimeout(() => say("lost", banner && banner.dataset.lost), 2500);
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) say("lost", banner && banner.dataset.expired);
  });
  // When a part of the page is renewed, what somebody unfolded stays so, and the keyboard stays where it was.
  const quoted = (name, value) => `[${name}="${CSS.escape(value)}"]`;
  const known = (element) => {
    if (element.tagName === "SUMMARY") return `details${quoted("id", element.parentElement.id)} > summary`;
    for (const name of ["id", "href", "aria-labelledby"]) {
      if (element.hasAttribute(name)) return element.tagName + quoted(name, element.getAttribute(name));
    }
    return null;
  };
  // A part stands still while somebody presses a button, and until what they sent from it is answered: else the press
  // would meet a button that is gone, or its answer a line that is. Then it is renewed.
  let pressed = -Infinity;
  document.addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  // The click comes after the pointer is up. Of some presses, as of one that opens a menu of the browser's, no end comes.
  const HELD = 2000;
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => setTimeout(() => { pressed = -Infinity; }), true);
  }
  // Whoever leaves the page, as by logging out, asks for none of its parts any more; whoever takes a file stays.
  let left = -Infinity;
  addEventListener("beforeunload", () => { left = performance.now(); });
  const again = (part) => setTimeout(() => {
    if (performance.now() - left < HELD) again(part); else htmx.trigger(part, "sse:refresh");
  }, 250);
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (event.detail.elt !== part || part.getAttribute("hx-trigger") !== "sse:refresh") return;
    // Some parts of what renews one go elsewhere in the page, so whatever was sent from the page counts.
    const sent = document.querySelector('.htmx-request:not([hx-trigger="sse:refresh"])');
    if (performance.now() - pressed > HELD && !sent) return;
    event.detail.shouldSwap = false;
    again(part);
  });
  // Whether a finger or a mouse would find an element in its middle: it lies under nothing and is not scrolled away.
  const inSight = (one) => {
    const box = one.getBoundingClientRect();
    const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return found !== null && one.contains(found);
  };
  // Of each part, since several are renewed at once.
  const renewed = new Map();
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    const active = document.activeElement;
    renewed.set(part, {
      // Some parts of an answer go elsewhere than where it was asked for.
      unfolded: [...document.querySelectorAll("details[id][open]")].map((one) => one.id),
      focused: active && active !== document.body ? known(active) : null,
      within: part.contains(active),
      seen: inSight(active),
    });
  });
  // At once, before another key is pressed.
  document.body.addEventListener("htmx:afterSwap", (event) => {
    const { unfolded = [], focused = null, within = false, seen = false } = renewed.get(event.detail.target) ?? {};
    renewed.delete(event.detail.target);
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    if (focused && document.activeElement === document.body) {
      // The same link may stand elsewhere too; a part that was itself replaced is looked for in the page.
      const part = within && event.detail.target.isConnected ? event.detail.target : document;
      part.querySelector(focused)?.focus({ preventScroll: true });
    }
    tick();
    // What the keyboard is on may have moved with its list: whoever saw it goes on seeing it, whoever had scrolled away
    // stays there. After whatever else puts parts in their place.
    queueMicrotask(() => {
      const active = document.activeElement;
      if (seen && active !== document.body && !inSight(active)) active.scrollIntoView({ block: "nearest" });
    });
  });
  // A menu is closed by Esc, which leads back to it, and by going elsewhere.
  const menus = () => document.querySelectorAll("details[data-menu][open]");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.removeAttribute("open");
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.removeAttribute("open");
  });
  // Ctrl+Enter sends the form that somebody fills in, wherever in it the keyboard is.
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("form[data-send]");
    if (!form || event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    if (!button.disabled) form.requestSubmit(button);
  });
  // What a form's page can do here without asking the server: more rows, a file's fingerprint, a copy of its table.
  const renumbered = (body) => [...body.rows].forEach((row, place) => {
    const before = Number(row.dataset.place ?? place);
    for (const input of row.querySelectorAll("[name]")) {
      const parts = input.name.split(".");
      parts[parts.length - 2] = place;
      input.name = parts.join(".");
      input.id = `f-${input.name.replaceAll(".", "-")}`;
      const label = input.getAttribute("aria-label");
      input.setAttribute("aria-label", label.replace(String(before + 1), String(place + 1)));
    }
    row.dataset.place = place;
  });
  const prepared = (part) => {
    for (const one of part.querySelectorAll("[data-hashing], [data-drop], [data-copy], [data-save]")) one.hidden = false;
    for (const body of part.querySelectorAll("[data-rows] tbody")) renumbered(body);
  };
  prepared(document);
  document.body.addEventListener("htmx:afterSettle", (event) => prepared(event.target));
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.name === "more") {
      event.preventDefault();
      const body = button.closest("[data-rows]").querySelector("tbody");
      const row = body.rows[body.rows.length - 1].cloneNode(true);
      for (const input of row.querySelectorAll("input, textarea, select")) input.value = "";
      for (const fault of row.querySelectorAll(".fault")) fault.remove();
      for (const input of row.querySelectorAll("[aria-invalid]")) {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
      body.append(row);
      renumbered(body);
      row.querySelector("input, textarea, select").focus();
    } else if ("drop" in button.dataset) {
      const body = button.closest("tbody");
      if (body.rows.length > 1) button.closest("tr").remove();
      renumbered(body);
    } else if (button.dataset.copy) {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      button.textContent = button.dataset.copied;
    } else if (button.dataset.save) {
      const text = document.getElementById(button.dataset.save).value;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/toml" }));
      link.download = button.dataset.name;
      link.click();
      URL.revokeObjectURL(link.href);
    }
  });
  document.addEventListener("change", async (event) => {
    const part = event.target.closest("[data-hashing]");
    const file = part && event.target.files[0];
    if (!file) return;
    const put = (name, value) => {
      part.parentElement.querySelector(`[name$=".${name}"]`).value = value;
    };
    put("name", file.name);
    if (!crypto.subtle) return;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    put("sha256", [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  });
  // Files that are dropped onto a form are chosen by it.
  for (const sort of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(sort, (event) => {
      const zone = event.target.closest?.("[data-dropzone]");
      if (!zone || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      zone.classList.toggle("over", sort === "dragover");
      if (sort !== "drop") return;
      const input = zone.querySelector("input[type=file]");
      input.files = event.dataTransfer.files;
      input.focus();
    });
  }
  // A case that opens or a filter that changes must not be asked for twice by a double click.
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("button[type=submit]:not([name])")) {
      setTimeout(() => { button.disabled = true; setTimeout(() => { button.disabled = false; }, 3000); });
    }
  });
})();
