/* Passkeys: the browser is asked what the service wants to know, and its answer is sent as a form. */
(() => {
  "use strict";

  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const bytes = (text) => {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
  };
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const described = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  // As PublicKeyCredential.parse...OptionsFromJSON, which older browsers do not have.
  const read = (asked) => ({
    ...asked,
    challenge: bytes(asked.challenge),
    ...(asked.user && { user: { ...asked.user, id: bytes(asked.user.id) } }),
    ...(asked.allowCredentials && { allowCredentials: described(asked.allowCredentials) }),
    ...(asked.excludeCredentials && { excludeCredentials: described(asked.excludeCredentials) }),
  });

  // As PublicKeyCredential.toJSON.
  const written = (made) => {
    const said = made.response;
    const response = { clientDataJSON: text(said.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (said[name]) response[name] = text(said[name]);
    }
    if (said.getTransports) response.transports = said.getTransports();
    return JSON.stringify({
      id: made.id, rawId: text(made.rawId), type: made.type, response,
      clientExtensionResults: {},
    });
  };

  const why = (form, error) => {
    if (error.name === "NotAllowedError" || error.name === "AbortError") return form.dataset.stopped;
    if (error.name === "InvalidStateError") return form.dataset.known;
    if (error.name === "SecurityError") return form.dataset.elsewhere;
    return form.dataset.failed;
  };

  const send = async (form) => {
    const answer = await fetch(form.dataset.options, {
      method: "POST",
      credentials: "same-origin",
      headers: { "X-CSRFToken": form.elements.csrf_token.value, Accept: "application/json" },
    });
    if (answer.redirected) return location.reload(); // signed out meanwhile
    if (!answer.ok) throw new Error("no options");
    const asked = await answer.json();
    if (asked.confirm) return location.assign(asked.confirm);
    const publicKey = read(asked.publicKey);
    const made = form.dataset.passkey === "add"
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    form.elements.credential.value = written(made);
    form.submit();
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("button");
    const wrong = form.querySelector("[role=alert]");
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      button.disabled = true;
      wrong.hidden = true;
      send(form).catch((error) => {
        wrong.textContent = why(form, error);
        wrong.hidden = false;
      }).finally(() => { button.disabled = false; });
    });
  }
})();
