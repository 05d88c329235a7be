// Fetches the page again every few seconds and puts its main part in place, unless somebody paused it or is typing.
"use strict";
(() => {
  const main = document.querySelector("main[data-fresh]");
  const pause = document.getElementById("pause");
  if (!main || !pause) return;
  let paused = false;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
  });
  setInterval(async () => {
    if (paused || document.hidden || main.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const state = document.getElementById("state");
      if (!answer.ok) { state.textContent = "Not fresh: the server answered " + answer.status; return; }
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (found) { main.innerHTML = found.innerHTML; state.textContent = ""; }
    } catch { document.getElementById("state").textContent = "Not fresh: the server does not answer"; }
  }, 1000 * Number(main.dataset.fresh));
})();
