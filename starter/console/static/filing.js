/* Filing a case by the keyboard: the first field has the focus, Ctrl+Enter sends. The page works without it. */
"use strict";
(() => {
  const form = document.querySelector("[data-filing]");
  if (!form) return;
  for (const hint of form.querySelectorAll("[data-keys]")) hint.hidden = false;
  document.getElementById(form.dataset.focus)?.focus();
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    if (!button.disabled) form.requestSubmit(button);
  });
})();
