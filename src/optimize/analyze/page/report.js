"use strict";
// Everything that an image says becomes text (textContent), never markup. Sizes of blocks are set through the object model,
// which the page's policy allows.
(() => {
  const broken = (message) => { document.body.dataset.error = String(message); };
  window.addEventListener("error", (event) => broken(event.message));
  document.addEventListener("securitypolicyviolation", (event) => broken("policy: " + event.violatedDirective));

  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const size = (bytes) => {
    if (bytes < 1000) return bytes + " B";
    let unit = -1;
    let value = bytes;
    do { value /= 1000; unit += 1; } while (value >= 999.95 && unit < 4);
    return value.toFixed(1) + " " + ["kB", "MB", "GB", "TB", "PB"][unit];
  };
  const percent = (part) => (100 * part).toFixed(1) + " %";

  at("name").textContent = data.name;
  const made = data.distribution ? " · " + (data.distribution.title || data.distribution.id) : "";
  at("platform").textContent = data.platform + made;
  const figures = [
    [size(data.bytes), "in " + data.files + " files"],
    [size(data.compressed), "compressed, in " + data.layers.length + " layers"],
    [size(data.wasted), "provably wasted"],
    [percent(data.score), "score"],
    [percent(data.efficiency), "efficiency as dive has it"],
    [String(data.packages.length), "packages"],
  ];
  if (data.line) figures.push([size(data.line.pushed), "pushed for a changed line"]);
  for (const [value, what] of figures) {
    const figure = make("div", undefined, "figure");
    figure.append(make("b", value), make("span", what));
    at("figures").append(figure);
  }

  // A tree map whose blocks are as square as can be: blocks are put in rows along the shorter side, and a row takes one
  // more as long as that makes its worst block better.
  const worst = (row, side) => {
    const sum = row.reduce((total, block) => total + block.area, 0);
    const width = sum / side;
    return row.reduce((most, block) => {
      const height = block.area / width;
      return Math.max(most, width / height, height / width);
    }, 0);
  };
  const place = (parts, x, y, width, height, put) => {
    const total = parts.reduce((sum, part) => sum + part.bytes, 0);
    let left = parts.filter((part) => part.bytes > 0).map((part) => ({ part, area: (part.bytes / total) * width * height }));
    while (left.length > 0) {
      const side = Math.min(width, height);
      if (side <= 0) return;
      let row = [left[0]];
      let next = 1;
      while (next < left.length && worst([...row, left[next]], side) <= worst(row, side)) {
        row.push(left[next]);
        next += 1;
      }
      const thick = row.reduce((sum, block) => sum + block.area, 0) / side;
      let along = 0;
      for (const block of row) {
        const length = block.area / thick;
        if (width >= height) put(block.part, x, y + along, thick, length);
        else put(block.part, x + along, y, length, thick);
        along += length;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
      left = left.slice(next);
    }
  };

  let path = [];
  let shown = "by_path";
  const colour = (name) => {
    let hash = 0;
    for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
    return hash;
  };
  const draw = () => {
    const map = at("map");
    const inside = path.length > 0 ? path[path.length - 1] : data[shown];
    map.replaceChildren();
    let total = 0;
    const put = (depth, hue) => (part, x, y, width, height) => {
      const block = make("div", undefined, "block");
      Object.assign(block.style, { left: x + "px", top: y + "px", width: width + "px", height: height + "px" });
      const tone = hue === undefined ? colour(part.name) : hue;
      block.style.background = "hsl(" + tone + " 55% " + (68 + 6 * depth) + "%)";
      block.title = part.name + " · " + size(part.bytes);
      if (width > 40 && height > 14) block.textContent = part.name + " " + size(part.bytes);
      if (depth === 0) {
        total += part.bytes;
        block.dataset.bytes = part.bytes;
      }
      if (part.parts) {
        block.classList.add("open");
        block.addEventListener("click", (event) => { event.stopPropagation(); path.push(part); draw(); });
      }
      map.append(block);
      if (part.parts && depth < 2 && width > 60 && height > 40) {
        place(part.parts, x + 3, y + 17, width - 6, height - 20, put(depth + 1, tone));
      }
    };
    const parts = inside.parts || [inside];
    place(parts, 0, 0, map.clientWidth || 1100, map.clientHeight || 480, put(0));
    map.dataset.total = total;
    const crumbs = at("crumbs");
    crumbs.replaceChildren();
    [data[shown], ...path].forEach((block, depth) => {
      const crumb = make("button", block.name + " " + size(block.bytes));
      crumb.type = "button";
      crumb.addEventListener("click", () => { path = path.slice(0, depth); draw(); });
      crumbs.append(depth > 0 ? " › " : "", crumb);
    });
    at("by-path").setAttribute("aria-pressed", shown === "by_path");
    at("by-package").setAttribute("aria-pressed", shown === "by_package");
  };
  const show = (which) => () => { shown = which; path = []; draw(); };
  at("by-path").addEventListener("click", show("by_path"));
  at("by-package").addEventListener("click", show("by_package"));
  window.addEventListener("resize", draw);

  const table = (into, headings, rows) => {
    const made = make("table");
    const head = make("tr");
    for (const [text, kind] of headings) head.append(make("th", text, kind));
    made.append(head);
    for (const row of rows) {
      const line = make("tr");
      row.forEach((cell, column) => {
        const box = make("td", undefined, headings[column][1]);
        box.append(cell);
        line.append(box);
      });
      made.append(line);
    }
    at(into).replaceChildren(made);
  };
  const most = Math.max(1, ...data.layers.map((layer) => layer.bytes));
  table("layers", [["#", "number"], ["size", "number"], ["compressed", "number"], [""], ["made by"]], data.layers.map((layer, index) => {
    const track = make("span", undefined, "track");
    const used = make("span", undefined, layer.base ? "used base" : "used");
    const lost = make("span", undefined, "lost");
    const kept = (100 * (layer.bytes - layer.hidden)) / most;
    used.style.width = kept + "%";
    lost.style.left = kept + "%";
    lost.style.width = (100 * layer.hidden) / most + "%";
    track.title = size(layer.hidden) + " of it hidden by later layers";
    track.append(used, lost);
    return [String(index + 1), size(layer.bytes), size(layer.compressed), track, make("code", layer.command.slice(0, 300))];
  }));
  table("savings", [["what"], ["bytes", "number"], ["files", "number"], ["pass"], ["why it can go"]], data.waste.map((waste) => {
    const files = make("details");
    files.append(make("summary", waste.title));
    for (const file of waste.examples) files.append(make("div", file.path + " · " + size(file.bytes) + " · layer " + (file.layer + 1)));
    return [files, size(waste.bytes), String(waste.files), waste.pass ? waste.pass + (waste.trust === "proven" ? " (proven)" : "") : "by hand", waste.why];
  }));
  const packages = data.packages.slice().sort((a, b) => b.bytes - a.bytes).slice(0, 500);
  table("packages", [["package"], ["version"], ["kind"], ["bytes", "number"], ["licence"]], packages.map((it) => [it.name, it.version, it.ecosystem, size(it.bytes), (it.licences || []).join(", ").slice(0, 120)]));
  if (data.base) {
    at("base-section").hidden = false;
    at("base").textContent = data.base.used_packages + " of its " + data.base.packages + " packages are used, as far as files tell: "
      + size(data.base.used_bytes) + " of " + size(data.base.bytes) + ". Without the rest the image has " + size(data.base.without) + ". To try:";
    at("dockerfile").textContent = data.base.dockerfile;
  }
  if (data.secrets.length > 0) {
    at("secrets-section").hidden = false;
    table("secrets", [["where"], ["what"], ["layer"]], data.secrets.map((it) => [it.place, it.kind, it.layer === undefined ? "" : String(it.layer + 1) + (it.hidden ? ", deleted later, but there" : "")]));
  }
  if (data.notes.length > 0) {
    at("notes-section").hidden = false;
    for (const note of data.notes) at("notes").append(make("li", note));
  }
  draw();
  document.body.dataset.bytes = data.bytes;
  document.body.dataset.ready = "yes";
})();
