// How it looks. An adopted style sheet needs no permission of the page's policy, and a closed shadow root
// lets neither the page's styles in nor these out. Colours and shapes are those of the live page.

const STYLE = `
:host {
  all: initial !important; position: fixed !important; inset: 0 !important; z-index: 2147483647 !important;
  display: block !important; pointer-events: none !important; color-scheme: light dark !important;
  --card: #fff; --ink: #1b2330; --soft: #5d6879; --line: #e3e7ed; --edge: #8b96a8; --field: #f6f7f9;
  --accent: #2467d1; --on-accent: #fff; --good: #14805e; --bad: #c0293b;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif !important;
}
@media (prefers-color-scheme: dark) {
  :host {
    --card: #181e28; --ink: #e8ecf2; --soft: #98a3b5; --line: #2a3240; --edge: #68748a; --field: #10141b;
    --accent: #6aa5ff; --on-accent: #0b1220; --good: #46c79d; --bad: #ff7d88;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.frame { position: fixed; border: 2px solid #2467d1; border-radius: 3px; box-shadow: 0 0 0 1px #fff; }
.frame.hover { border-style: dashed; background: rgb(36 103 209 / .1); }
.frame.editing { box-shadow: 0 0 0 1px #fff, 0 0 0 5px rgb(36 103 209 / .3); }
.tag {
  position: fixed; max-width: min(20rem, 90vw); padding: 2px 7px; overflow: hidden; border-radius: 4px;
  background: #2467d1; color: #fff; font-size: 12px; font-weight: 600; text-overflow: ellipsis; white-space: nowrap;
}

.panel {
  position: fixed; top: 12px; right: 12px; display: flex; flex-direction: column; width: 340px; max-height: calc(100vh - 24px);
  overflow: hidden; border: 1px solid var(--line); border-radius: 14px; background: var(--card); color: var(--ink);
  box-shadow: 0 12px 40px rgb(10 16 28 / .28); pointer-events: auto;
}
.panel.left { right: auto; left: 12px; }
header, footer { display: flex; flex: none; align-items: center; gap: 8px; padding: 12px 16px; }
header { border-bottom: 1px solid var(--line); }
footer { border-top: 1px solid var(--line); }
header div { flex: 1; min-width: 0; }
.brand { margin: 0; color: var(--accent); font-size: 11px; font-weight: 700; letter-spacing: .12em; text-transform: uppercase; }
h2 { margin: 0; overflow: hidden; font-size: 15px; line-height: 1.3; text-overflow: ellipsis; white-space: nowrap; }
main { flex: 1; min-height: 0; padding: 0 16px 16px; overflow-y: auto; overscroll-behavior: contain; }
h3 { margin: 18px 0 8px; color: var(--soft); font-size: 12px; font-weight: 600; }
p { margin: 0; }
.soft, small { color: var(--soft); font-size: 12px; }
.empty { margin-top: 16px; padding: 16px; border: 1.5px dashed var(--line); border-radius: 10px; color: var(--soft); text-align: center; }
.empty b { display: block; margin-bottom: 4px; color: var(--ink); font-size: 14px; }
kbd { padding: 1px 5px; border: 1px solid var(--line); border-radius: 4px; background: var(--field); font: 11px ui-monospace, Menlo, Consolas, monospace; }

.what { display: flex; align-items: center; gap: 8px; margin-top: 14px; }
.what b { font-size: 15px; }
.what .nav { display: flex; gap: 4px; margin-left: auto; }
.path { margin-top: 4px; overflow: hidden; color: var(--soft); font: 12px ui-monospace, Menlo, Consolas, monospace; text-overflow: ellipsis; white-space: nowrap; }

button {
  min-height: 34px; padding: 5px 12px; border: 1px solid var(--edge); border-radius: 8px; background: transparent; color: var(--ink);
  font: inherit; font-weight: 600; cursor: pointer;
}
button:hover:not(:disabled) { border-color: var(--accent); color: var(--accent); }
button:disabled { opacity: .45; cursor: default; }
button.primary { flex: 1; border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
button.primary:hover:not(:disabled) { color: var(--on-accent); filter: brightness(1.08); }
button.icon { min-width: 34px; padding: 0; border-color: transparent; font-size: 16px; }
button.small { min-height: 28px; padding: 2px 9px; font-size: 12px; }
button[aria-pressed=true] { border-color: var(--accent); background: color-mix(in srgb, var(--accent) 14%, transparent); color: var(--accent); }
button.danger { border-color: var(--bad); color: var(--bad); }

label { display: block; margin-top: 10px; font-size: 12px; font-weight: 600; }
label small { font-weight: 400; }
label.line { display: flex; align-items: center; gap: 8px; font-weight: 400; font-size: 14px; }
input:not([type=radio], [type=checkbox], [type=color]), textarea {
  display: block; width: 100%; margin-top: 4px; padding: 7px 10px; border: 1px solid var(--edge); border-radius: 8px;
  background: var(--field); color: var(--ink); font: 14px/1.4 inherit; font-family: inherit;
}
textarea { min-height: 62px; resize: vertical; }
input[aria-invalid=true] { border-color: var(--bad); }
input[type=radio], input[type=checkbox] { flex: none; width: 16px; height: 16px; margin: 0; accent-color: var(--accent); }
input[type=color] { width: 34px; height: 28px; padding: 2px; border: 1px solid var(--edge); border-radius: 6px; background: none; cursor: pointer; }
.colours { display: grid; margin-top: 8px; grid-template-columns: 1fr 1fr; gap: 8px; }
.colours label { margin-top: 4px; }
.selectors { margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 10px; list-style: none; }
.selectors li + li { border-top: 1px solid var(--line); }
.selectors label { display: flex; align-items: center; gap: 10px; margin: 0; padding: 8px 10px; font-weight: 400; cursor: pointer; }
.selectors code { flex: 1; min-width: 0; font: 12px/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.selectors small { flex: none; }
.saved { margin: 0; padding: 0; list-style: none; }
.saved > li { padding: 8px 0; }
.saved > li + li { border-top: 1px solid var(--line); }
.saved ul { margin: 4px 0 0; padding: 0; list-style: none; }
.saved ul li { display: flex; align-items: center; gap: 6px; padding: 3px 0; }
.saved ul span { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.status { flex: none; padding: 9px 16px; background: color-mix(in srgb, var(--good) 12%, var(--card)); color: var(--good); font-size: 13px; font-weight: 600; }
.status.bad { background: color-mix(in srgb, var(--bad) 12%, var(--card)); color: var(--bad); }

@media (max-width: 640px) {
  .panel, .panel.left { top: auto; right: 0; bottom: 0; left: 0; width: auto; max-height: 58vh; border-width: 1px 0 0; border-radius: 16px 16px 0 0; }
  .panel.low main, .panel.low footer { display: none; }
  header, footer { padding: 10px 16px; }
  .side { display: none; }
  /* There are no keys. */
  .keys { display: none; }
  button { min-height: 40px; }
  button.icon { min-width: 40px; }
  button.small { min-height: 36px; }
  input:not([type=radio], [type=checkbox], [type=color]), textarea { font-size: 16px; }
}
@media (min-width: 641px) { .fold { display: none; } }
`;

const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);

// An element of ours. What is given as a function listens, the rest are properties or attributes.
const make = (tag, { on = {}, ...given } = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name in node && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  for (const [type, listener] of Object.entries(on)) node.addEventListener(type, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};
