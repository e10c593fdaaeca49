// A button beside each password that shows what is typed, which is better than typing it twice.
for (const input of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.setAttribute("aria-controls", input.id);
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-label", `${button.textContent} the password`);
  };
  show(false);
  button.addEventListener("click", () => show(input.type === "password"));
  // Browsers keep passwords only from fields that are for them.
  input.form?.addEventListener("submit", () => show(false));
  input.after(button);
}
