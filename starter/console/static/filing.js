/* Filing a case by the keyboard: the first field has the focus. The page works without it. */
"use strict";
(() => {
  const form = document.querySelector("[data-filing]");
  if (!form) return;
  for (const hint of form.querySelectorAll("[data-keys]")) hint.hidden = false;
  document.getElementById(form.dataset.focus)?.focus();
})();
