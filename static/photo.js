// Says that a photo is too large before it is sent: what has been typed stays, and nobody waits for an
// upload that will be refused. Without this script the service says so.
(() => {
  "use strict";

  const field = document.querySelector("input[type=file][data-most]");

  const check = () => {
    const [file] = field.files;
    field.setCustomValidity(file && file.size > Number(field.dataset.most) ? field.dataset.tooLarge : "");
    field.reportValidity();
  };

  field.addEventListener("change", check);
})();
