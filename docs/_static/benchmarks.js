// The charts of benchmarks.html. `convjaxBenchmarks` is written by docs/benchmark_charts.py: an entry for each run.
(() => {
  const root = document.getElementById("benchmark-charts");
  const form = root.querySelector("form");
  const controls = form.elements;
  const FIELDS = ["row", "family", "direction", "dtype", "format", "algorithm", "values", "ratios"];
  const FILTERS = ["direction", "family", "dtype", "format"];
  const SYMBOLS = {  // the names are Plotly's
    forward: ["circle", "●"], "input gradient": ["triangle-left", "◄"], "weight gradient": ["square", "■"],
    gradient: ["diamond", "◆"], "training step": ["star", "★"],
  };
  const MOST_ROWS = 200;
  const isNarrow = matchMedia("(max-width: 40em)");
  const runs = new Map(window.convjaxBenchmarks.map((run) => [run.name, {
    ...run, rows: run.rows.map((row) => Object.fromEntries(FIELDS.map((field, n) => [field, row[n]]))),
  }]));
  let order = { by: "ratio", sign: 1 };

  const element = (name, text = "", attributes = {}) =>
    Object.assign(document.createElement(name), { textContent: text }, attributes);
  const distinct = (values) => [...new Set(values)];
  const put = (name, text) => { root.querySelector(`.${name}`).textContent = text; };
  const shown = (number) => (number >= 100 ? number.toFixed(0) : number.toPrecision(3));
  const ratioText = (ratio) => (ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2));
  const ratioName = (run, opponent) =>
    (run.is_estimate ? "XLA's estimate / that of the choice" : `times as fast as ${opponent}`);

  function fill(select, options) {
    const before = select.disabled ? "" : select.value;  // what was not chosen is not kept
    select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
    select.value = options.some(([value]) => value === before) ? before : options[0][0];
    select.disabled = options.length < 2;
  }

  function fillFilters() {
    const run = runs.get(controls.file.value);
    fill(controls.opponent, run.opponents.map((name) => [name, name]));
    for (const name of FILTERS) {
      const values = distinct(run.rows.map((row) => row[name]));
      const options = values.map((value) => [value, value || "does not apply"]);
      fill(controls[name], values.length > 1 ? [["", "all"], ...options] : options);
    }
  }

  function selected() {
    const run = runs.get(controls.file.value);
    const words = controls.words.value.toLowerCase().split(" ").filter(Boolean);
    const opponent = run.opponents.indexOf(controls.opponent.value);
    const rows = run.rows
      .filter((row) => FILTERS.every((name) => !controls[name].value || row[name] === controls[name].value))
      .filter((row) => words.every((word) => row.row.toLowerCase().includes(word)))
      .map((row) => ({ ...row, ratio: row.ratios[opponent], convjax: row.values[0] }))
      .map((row) => ({ ...row, other: row.ratio && row.ratio * row.convjax }));
    return { run, opponent: controls.opponent.value, rows, compared: rows.filter((row) => row.ratio !== null) };
  }

  function describe({ run, opponent, rows, compared }) {
    const said = [run.machine, run.title, run.note, run.about.join(", ")].filter(Boolean).join("; ");
    put("about", said + (run.command ? "; by " : ""));
    root.querySelector(".about").append(element("code", run.command));
    const without = rows.length - compared.length;
    const missing = run.is_estimate ? `${opponent} does not compile in time, so there is no ratio`
      : `there is no time of ${opponent}`;
    const more = without ? ` For ${without} more, ${missing}.` : "";
    if (!compared.length) return put("numbers", `No row with a ratio is selected.${more}`);
    const mean = Math.exp(compared.reduce((sum, row) => sum + Math.log(row.ratio), 0) / compared.length);
    const caution = run.is_estimate
      ? " These are estimates: nothing was timed, and differences below a factor of 2 mean nothing." : "";
    const slower = compared.filter((row) => row.ratio < 0.95).length;
    const share = (100 * slower / compared.length).toFixed(1);
    const worst = compared.reduce((a, b) => (b.ratio < a.ratio ? b : a));
    const what = run.is_estimate
      ? `XLA's compiler expects its own convolution to take ${ratioText(mean)} times as long as convjax's choice`
      : `convjax is ${ratioText(mean)} times as fast as ${opponent}`;
    put("numbers", `${what} (geometric mean of ${compared.length} rows). ${slower} of them, ${share}\u00a0%, are `
      + `below 0.95. The worst is ${ratioText(worst.ratio)}: ${worst.row}, ${worst.direction}.${more}${caution}`);
  }

  function list({ run, opponent, rows }) {
    const columns = [
      ["row", "row"], ["direction", "direction"], ["ratio", run.is_estimate ? ratioName(run) : "times as fast"],
      ["convjax", `${run.columns[0]}, ${run.unit}`], ["other", `${opponent}, ${run.unit}`], ["algorithm", "algorithm"],
    ];
    const compare = (a, b) => {
      const [x, y] = [a[order.by], b[order.by]];
      if (x === null || y === null) return (x === null) - (y === null);
      return order.sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
    };
    const isNumber = (name) => ["convjax", "other", "ratio"].includes(name);
    const cell = (row, name) => element("td", !isNumber(name) ? row[name] : row[name] === null ? "" :
      (name === "ratio" ? ratioText : shown)(row[name]), { className: isNumber(name) ? "number" : "" });
    const heads = columns.map(([name, text]) => {
      const mark = name === order.by ? (order.sign > 0 ? " ▲" : " ▼") : "";
      const button = element("button", text + mark, { type: "button" });
      button.dataset.name = name;
      button.onclick = () => {
        order = { by: name, sign: name === order.by ? -order.sign : 1 };
        list(selected());
        root.querySelector(`button[data-name=${name}]`).focus();
      };
      const head = element("th", "", { scope: "col", className: isNumber(name) ? "number" : "" });
      head.ariaSort = mark ? (order.sign > 0 ? "ascending" : "descending") : "none";
      head.append(button);
      return head;
    });
    const table = element("table", "", { className: "docutils" });
    table.createTHead().insertRow().append(...heads);
    table.createTBody().append(...[...rows].sort(compare).slice(0, MOST_ROWS).map((row) => {
      const line = element("tr");
      line.append(...columns.map(([name]) => cell(row, name)));
      return line;
    }));
    root.querySelector(".rows").replaceChildren(table);
    const isCut = rows.length > MOST_ROWS;
    put("cut", isCut ? `The first ${MOST_ROWS} of ${rows.length} rows, in the order of the table.` : "");
  }

  const wrapped = (text, most) => text.split(" ").reduce((lines, word) => {
    const last = `${lines.at(-1)} ${word}`.trim();
    return last.length > most ? [...lines, word] : [...lines.slice(0, -1), last];
  }, [""]);

  function hover(run, row, ratio) {
    const values = run.columns
      .map((name, n) => row.values[n] !== null && `${name}: ${shown(row.values[n])} ${run.unit}`);
    return [`<b>${wrapped(row.row, 34).join("<br>")}</b>`, [row.direction, row.algorithm].filter(Boolean).join(", "),
      `<b>${ratioText(row.ratio)}</b> ${ratio}`, ...values.filter(Boolean)].join("<br>");
  }

  // One band for each kind of layer, or for each row if there is one kind. A unit of y is a pixel.
  function bands(rows) {
    const by = distinct(rows.map((row) => row.family)).length > 1 || rows.some((row) => row.row.length > 36)
      ? "family" : "row";
    let top = 0;
    return distinct(rows.map((row) => row[by])).map((name) => {
      const members = rows.filter((row) => row[by] === name);
      const lines = wrapped(name, isNarrow.matches ? 16 : 36);
      const height = Math.max(16 + 2.2 * members.length, 13 * lines.length + 8);
      members.forEach((row, n) => { row.y = top + 5 + (height - 10) * (n + 0.5) / members.length; });
      top += height;
      return { middle: top - height / 2, bottom: top, label: lines.join("<br>") };
    });
  }

  function ticks([low, high]) {
    const powers = Array.from({ length: 13 }, (_, n) => n - 6);
    const inside = (steps) => powers.flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
      .filter((tick) => tick >= low && tick <= high);
    const most = isNarrow.matches ? 6 : 9;
    return [[1, 1.2, 1.5, 2, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3]].map(inside)
      .find((all) => all.length <= most) ?? inside([1]);
  }

  function draw({ run, opponent, compared }) {
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(`--color-${name}`).trim();
    const [front, muted, back, line] =
      ["foreground-primary", "foreground-muted", "background-primary", "background-border"].map(colour);
    const ratio = ratioName(run, opponent);
    const reading = run.is_estimate ? "an estimate of the compiler, no timing" : "right of the line convjax is faster";
    const [low, high] = run.is_estimate ? [0.5, 2] : [0.95, 1.05];  // between them a difference means nothing
    const ratios = compared.map((row) => row.ratio);
    const range = [Math.min(0.8, ...ratios) / 1.15, Math.max(1.25, ...ratios) * 1.15];
    const groups = bands(compared);
    const bottom = groups.at(-1)?.bottom ?? 60;
    // Vermilion and blue are told apart by readers who do not see red or green.
    const classes = [
      [`below ${low}`, "#d55e00", "▬", (r) => r < low],
      [`${low} to ${high}`, muted, "▬", (r) => r >= low && r <= high],
      [`above ${high}`, "#2b8cc4", "▬", (r) => r > high],
    ];
    const dots = classes.map(([name, color, , has]) => {
      const rows = compared.filter((row) => has(row.ratio));
      return {
        name, x: rows.map((row) => row.ratio), y: rows.map((row) => row.y), mode: "markers",
        marker: { color, opacity: 0.85, size: 8, symbol: rows.map((row) => SYMBOLS[row.direction][0]) },
        text: rows.map((row) => hover(run, row, ratio)), hoverinfo: "text",
      };
    });
    const directions = distinct(compared.map((row) => row.direction)).map((name) => [name, front, SYMBOLS[name][1]]);
    root.querySelector(".keys").replaceChildren(...[...classes, ...directions].map(([name, color, symbol]) => {
      const key = element("span", name);
      const mark = element("span", symbol);
      mark.style.color = color;
      key.prepend(mark, "\u00a0");
      return key;
    }));
    const values = ticks(range);
    const axis = {
      type: "log", range: range.map(Math.log10), tickvals: values, ticktext: values.map(String), tickangle: 0,
      zeroline: false, fixedrange: true,
    };
    const below = { type: "line", layer: "below" };
    Plotly.react(root.querySelector(".plot"), [...dots, { x: [null], y: [null], xaxis: "x2", hoverinfo: "skip" }], {
      height: bottom + 105,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: front, family: style.fontFamily, size: 12 },
      margin: { l: 10, r: 10, t: 75, b: 30 },
      dragmode: false,
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: back, bordercolor: muted, font: { color: front, size: 12 } },
      showlegend: false,
      xaxis: { ...axis, gridcolor: line },
      xaxis2: {
        ...axis, overlaying: "x", side: "top", showgrid: false,
        title: { text: [...wrapped(ratio, 44), reading].join("<br>") },
      },
      yaxis: {
        range: [bottom, 0], tickvals: groups.map((group) => group.middle), ticktext: groups.map((group) => group.label),
        automargin: true, showgrid: false, zeroline: false, fixedrange: true,
      },
      shapes: [
        ...groups.slice(0, -1).map(({ bottom: y }) => (
          { ...below, xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: line, width: 1 } })),
        { ...below, x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, line: { color: front, width: 1.5 } },
      ],
    }, { displayModeBar: false, responsive: true });
  }

  function show() {
    const now = selected();
    describe(now);
    list(now);
    draw(now);
  }

  for (const [machine, group] of Map.groupBy(runs.values(), (run) => run.machine)) {
    const options = group.map((run) => element("option", `${run.name}: ${run.title}`, { value: run.name }));
    const part = element("optgroup", "", { label: machine });
    part.append(...options);
    controls.file.append(part);
  }
  fillFilters();
  form.addEventListener("input", (event) => {
    if (event.target === controls.file) fillFilters();
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  isNarrow.addEventListener("change", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  new MutationObserver(show).observe(document.body, { attributeFilter: ["data-theme"] });
  form.hidden = false;
  show();
})();
