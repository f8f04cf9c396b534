/* Asks the authenticator what a form wants of it, and sends the form with the answer. */
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  const make = async (asked) => {
    const publicKey = { ...asked, challenge: bytes(asked.challenge), excludeCredentials: named(asked.excludeCredentials) };
    publicKey.user = { ...asked.user, id: bytes(asked.user.id) };
    const { id, type, response } = await navigator.credentials.create({ publicKey });
    const said = { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) };
    return { id, rawId: id, type, response: said };
  };
  const confirm = async (asked) => {
    const publicKey = { ...asked, challenge: bytes(asked.challenge), allowCredentials: named(asked.allowCredentials) };
    const { id, response } = await navigator.credentials.get({ publicKey });
    return {
      credential: id,
      authenticator_data: text(response.authenticatorData),
      client_data: text(response.clientDataJSON),
      signature: text(response.signature),
    };
  };
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const failed = form.querySelector("[data-failed]");
    form.querySelector("[data-without]").hidden = true;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      failed.hidden = true;
      try {
        const asked = JSON.parse(form.dataset.options);
        const answer = await (form.dataset.passkey === "make" ? make : confirm)(asked);
        form.elements.answer.value = JSON.stringify(answer);
        form.submit();
      } catch {
        // Called off, too late, or no authenticator that could: the browser has said which.
        failed.hidden = false;
      }
    });
  }
})();
