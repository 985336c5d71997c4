// The chat page of `sockeye serve`: what the person does.
//
// Below it, each knowing only those after it: connection.js (the server, by PROTOCOL.md), view.js (the screen),
// state.js (what the page knows).

import { joinRoom, retry, sayTyping, takeName, write } from "./connection.js";
import { conversation, state } from "./state.js";
import { $, askName, closeNameDialog, draw, errorText, openSidebar, scrollDown, show, showRoomError } from "./view.js";

// ---- writing

const text = $("text");

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
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

// ---- rooms and people

/** Calls back with the data of the list's entry whose button is clicked. The list outlives its entries. */
function onChoice(list, chosen) {
  $(list).addEventListener("click", (event) => {
    const entry = event.target.closest("button:enabled")?.closest("li");
    if (entry) chosen(entry.dataset);
  });
}

function goTo(room) {
  if (room === state.room) show(`#${room}`);
  else joinRoom(room);
}

onChoice("rooms", ({ room }) => goTo(room));
onChoice("people", ({ person }) => show(`@${person}`));

$("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("room-input").value.trim().toLowerCase().replace(/^#\s*/, "").replace(/\s+/g, "-");
  if (wanted === "") return;
  if (!state.ready) return showRoomError("You can change rooms when you are connected again.");
  $("room-input").value = "";
  goTo(wanted);
});

$("room-input").addEventListener("input", () => showRoomError(""));

// ---- the name

$("rename").addEventListener("click", () => {
  openSidebar(false);
  askName();
});

$("name-cancel").addEventListener("click", closeNameDialog);

$("name-dialog").addEventListener("cancel", (event) => {
  if (!state.ready) event.preventDefault(); // for browsers that do not know the dialog's "closedby"
});

$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("name-input").value.trim();
  if (wanted === "") $("name-error").textContent = errorText("bad-name");
  else if (state.ready && wanted === state.name) closeNameDialog();
  else takeName(wanted);
});

// ---- the drawer of a phone

$("open-sidebar").addEventListener("click", () => openSidebar(true));
$("close-sidebar").addEventListener("click", () => openSidebar(false));
$("scrim").addEventListener("click", () => openSidebar(false));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") openSidebar(false);
});

// ---- reading, and waiting

$("jump").addEventListener("click", scrollDown);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  conversation(state.viewed).unread = 0;
  draw();
});

$("retry").addEventListener("click", retry);

show(state.viewed);
if (state.name === "") askName();
