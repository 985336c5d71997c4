const text = $("text");

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

function sayTyping(on) {
  const now = Date.now();
  if (!state.ready || state.viewed[0] !== "#" || (on && now - typingSentAt < TYPING_REPEAT)) return;
  if (!on && typingSentAt === 0) return;
  typingSentAt = on ? now : 0;
  socket.volatile.emit("typing", { state.room, on });
}

text.addEventListener("input", () => {
  fitText();
  sayTyping(text.value.trim() !== "");
});

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = text.value.trim();
  if (value === "" || state.name === "") return;
  sayTyping(false);
  text.value = "";
  fitText();
  write(value);
  text.focus();
});

$("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("room-input").value.trim().toLowerCase().replace(/^#\s*/, "").replace(/\s+/g, "-");
  if (wanted === "") return;
  if (!state.ready) {
    $("room-error").textContent = "You can change state.rooms when you are connected again.";
    return;
  }
  $("room-input").value = "";
  if (wanted === state.room) view(`#${state.room}`);
  else joinRoom(wanted);
});

function askName(wanted = state.name, error = "") {
  const dialog = $("name-dialog");
  $("name-input").value = wanted;
  $("name-error").textContent = error;
  $("name-cancel").hidden = !state.ready;
  $("name-submit").textContent = state.ready ? "Change name" : "Start chatting";
  if (!dialog.open) dialog.showModal();
  $("name-input").select();
}

$("rename").addEventListener("click", () => {
  openSidebar(false);
  askName();
});
$("name-cancel").addEventListener("click", () => $("name-dialog").close());
$("name-dialog").addEventListener("cancel", (event) => {
  if (!state.ready) event.preventDefault(); // without a state.name there is nothing to go back to
});
$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("name-input").value.trim();
  if (wanted === "") {
    $("name-error").textContent = errorText("bad-name");
  } else if (state.ready && wanted === state.name) {
    $("name-dialog").close();
  } else if (socket.connected) {
    sayHello(wanted);
  } else {
    // The next connection says hello with it.
    state.name = wanted;
    $("name-dialog").close();
    draw();
  }
});

function openSidebar(open) {
  if (open && !PHONE.matches) return;
  const wasOpen = $("sidebar").classList.contains("open");
  $("sidebar").classList.toggle("open", open);
  $("scrim").hidden = !open;
  document.querySelector("main").inert = open;
  $("open-sidebar").setAttribute("aria-expanded", String(open));
  if (open) $("close-sidebar").focus();
  else if (wasOpen) $("open-sidebar").focus();
}

$("open-sidebar").addEventListener("click", () => openSidebar(true));
$("close-sidebar").addEventListener("click", () => openSidebar(false));
$("scrim").addEventListener("click", () => openSidebar(false));
PHONE.addEventListener("change", () => openSidebar(false));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") openSidebar(false);
});

$("jump").addEventListener("click", scrollDown);
$("scroller").addEventListener("scroll", () => {
  if (isAtEnd()) $("jump").hidden = true;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  conversation(state.viewed).unread = 0;
  draw();
});
