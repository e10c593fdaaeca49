// The panel: what was picked, how it is found, what a variant changes of it, and what is saved.

const plural = (count) => (count === 1 ? "1 match" : `${count} matches`);
const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);
const HEADLINE = { text: "Text", button: "Button", headline: "Headline", image: "Image", link: "Link" };

const panel = (() => {
  const title = make("h2", {}, "Samplit");
  const status = make("p", { className: "status", role: "status", hidden: true });
  const main = make("main", {});
  const previewing = make("button", { type: "button", "aria-pressed": "true", on: { click: () => setShown(!isShown) } }, "Preview");
  const saving = make("button", { type: "button", className: "primary", on: { click: () => save() } }, "Save variant");
  const footer = make("footer", {}, previewing, saving);
  const icon = (className, label, sign, click) =>
    make("button", { type: "button", className: `icon ${className}`, title: label, "aria-label": label, on: { click } }, sign);
  const fold = icon("fold", "Fold the panel", "▾", () => setLow(!frame.classList.contains("low")));
  const frame = make(
    "section",
    { className: "panel", role: "dialog", "aria-label": "Samplit element picker" },
    make(
      "header",
      {},
      make("div", {}, make("p", { className: "brand" }, "Samplit"), title),
      fold,
      icon("side", "Move the panel to the other side", "⇄", () => frame.classList.toggle("left")),
      icon("leave", "Leave the picker", "✕", () => leave()),
    ),
    status,
    main,
    footer,
  );
  root.append(frame);

  const setLow = (isLow) => {
    frame.classList.toggle("low", isLow);
    fold.textContent = isLow ? "▴" : "▾";
    fold.title = fold.ariaLabel = isLow ? "Unfold the panel" : "Fold the panel";
  };

  const say = (text, isBad = false) => {
    status.textContent = text;
    status.hidden = !text;
    status.classList.toggle("bad", isBad);
  };

  const field = (name, label, value, change, { isLong = false, hint } = {}) => {
    const input = make(isLong ? "textarea" : "input", { name, value, spellcheck: isLong, on: { input: () => change(input.value) } });
    return make("label", {}, label, hint ? make("small", {}, ` ${hint}`) : null, input);
  };

  const colour = (label, property) => {
    const input = make("input", {
      type: "color",
      name: property,
      value: toHex(getComputedStyle(selected)[property === "color" ? "color" : "backgroundColor"]),
      on: { input: () => setContent({ style: { ...content.style, [property]: input.value } }) },
    });
    return make("label", { className: "line" }, input, label);
  };

  const fields = () => {
    const is = (name) => selected.localName === name;
    const lines = [];
    if (holdsText(selected)) {
      const inside = selected.childElementCount;
      const hint = inside ? `replaces ${inside === 1 ? "the element" : `the ${inside} elements`} inside` : "or pick it again to edit in place";
      lines.push(field("text", "Text", content.text ?? selected.textContent.trim(), (text) => setContent({ text }), { isLong: true, hint }));
    }
    if (is("img")) {
      lines.push(field("src", "Image address", content.src ?? selected.getAttribute("src") ?? "", (src) => setContent({ src })));
      lines.push(field("alt", "Alternative text", content.alt ?? selected.alt, (alt) => setContent({ alt })));
    }
    if (is("a")) lines.push(field("href", "Link to", content.href ?? selected.getAttribute("href") ?? "", (href) => setContent({ href })));
    if (holdsText(selected))
      lines.push(make("div", { className: "colours" }, colour("Text colour", "color"), colour("Background", "background-color")));
    const hidden = make("input", { type: "checkbox", name: "hidden", checked: !!content.hidden, on: { change: () => setContent({ hidden: hidden.checked || undefined }) } });
    lines.push(make("label", { className: "line" }, hidden, "Hide it"));
    return lines;
  };

  const selectorList = () => {
    const choose = (selector) => make("li", {}, make(
      "label",
      {},
      make("input", {
        type: "radio",
        name: "selector",
        checked: selector === selectors[0],
        on: {
          change: () => {
            selectors = [selector, ...selectors.filter((other) => other !== selector)];
          },
        },
      }),
      make("code", {}, selector.type === "css" ? selector.value : `${selector.type}: ${selector.value}`),
      make("small", {}, plural(findAll(selector).length)),
    ));
    return make("ul", { className: "selectors" }, ...selectors.map(choose));
  };

  const nav = (label, sign, key) => {
    const next = neighbourOf(selected, key);
    return make("button", { type: "button", className: "small", title: label, "aria-label": label, disabled: !next, on: { click: () => select(next) } }, sign);
  };

  const ofSelected = () => {
    const known = elementOf(selected);
    const path = [];
    for (let node = selected; node && node !== document.body && path.length < 4; node = node.parentElement) path.unshift(node.localName);
    return [
      make(
        "div",
        { className: "what" },
        make("b", {}, HEADLINE[typeOf(selected)]),
        make("span", { className: "nav" }, nav("Parent", "↑", "ArrowUp"), nav("Child", "↓", "ArrowDown"), nav("Before it", "←", "ArrowLeft"), nav("After it", "→", "ArrowRight")),
      ),
      make("p", { className: "path" }, path.join(" › ")),
      make("h3", {}, "Change"),
      ...fields(),
      make("h3", {}, known ? "Found as the saved element" : "Found by"),
      known ? make("p", { className: "soft" }, known.name) : selectors.length ? selectorList() : make("p", { className: "soft" }, "Nothing on this page tells it from others. Pick its parent."),
      make("h3", {}, "Save as"),
      known ? null : field("element", "Element", names.element, (name) => (names.element = name)),
      field("variant", "Variant", names.variant, (name) => (names.variant = name)),
    ];
  };

  const savedVariant = (element, variant) => {
    const remove = make("button", { type: "button", className: "small", on: {
      click: () => {
        // A second press means it.
        if (remove.classList.contains("danger")) return removeVariant(variant);
        remove.className = "small danger";
        remove.textContent = "Really?";
      },
      blur: () => {
        remove.className = "small";
        remove.textContent = "Delete";
      },
    } }, "Delete");
    const isOn = shown.get(element.id)?.variant === variant.id;
    const toggle = make("button", { type: "button", className: "small", "aria-pressed": String(isOn), on: { click: () => showSaved(element, variant) } }, "Show");
    return make("li", {}, make("span", { title: variant.name }, variant.name), toggle, isDraft() ? remove : null);
  };

  const saved = () =>
    draft.elements.length === 0
      ? []
      : [
          make("h3", {}, "In this experiment"),
          make(
            "ul",
            { className: "saved" },
            ...draft.elements.map((element) =>
              make(
                "li",
                {},
                make("b", {}, element.name),
                findFirst(selectorsOfSaved(element)) ? null : make("small", {}, " not on this page"),
                make("ul", {}, ...element.variants.filter((variant) => !variant.is_control).map((variant) => savedVariant(element, variant))),
              ),
            ),
          ),
        ];

  const intro = () =>
    make(
      "div",
      { className: "empty" },
      make("b", {}, "Point at something and pick it"),
      "Its text, image, link and colours can be changed here, and saved as a variant.",
      make("span", { className: "keys" }, " Arrow keys go to what is around it, ", make("kbd", {}, "Esc"), " lets go."),
    );

  const draw = () => {
    title.textContent = draft?.name ?? "Element picker";
    const scroll = main.scrollTop;
    main.replaceChildren(...[...(draft ? (selected ? ofSelected() : [intro()]) : []), ...(draft ? saved() : [])].filter(Boolean));
    main.scrollTop = scroll;
    footer.hidden = !draft || !selected;
    drawFooter();
  };

  const drawFooter = () => {
    previewing.setAttribute("aria-pressed", String(isShown));
    const isChanged = Object.keys(content).length > 0;
    saving.disabled = !isDraft() || !isChanged || isSaving || (selectors.length === 0 && !elementOf(selected));
  };

  // On a phone the panel lies over the lower half: what was picked moves above it.
  const reveal = () => {
    const { top, left } = frame.getBoundingClientRect();
    const picked = selected?.getBoundingClientRect();
    if (left === 0 && picked && picked.bottom > top - 8) scrollBy(0, Math.min(picked.top - 48, picked.bottom - top + 24));
  };
  addEventListener("resize", reveal);

  return {
    draw,
    reveal,
    drawFooter,
    say,
    setLow,
    setText: (text) => {
      const input = main.querySelector("textarea");
      if (input) input.value = text;
    },
    focusFirst: () => (main.querySelector("input, textarea, button") ?? frame.querySelector("button")).focus(),
  };
})();
