"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // "@accent" under a key that ends in "color" or under "colorscale" names a colour of the page
  const painted = (value, css, inColor) => {
    if (Array.isArray(value)) return value.map((v) => painted(v, css, inColor));
    if (value && typeof value === "object") {
      const out = {};
      for (const [k, v] of Object.entries(value)) out[k] = painted(v, css, /color(scale)?$/.test(k));
      return out;
    }
    if (inColor && typeof value === "string" && value[0] === "@") {
      return css.getPropertyValue("--" + value.slice(1)).trim();
    }
    return value;
  };

  const SHAPES = {
    circle: "M12 3a5 5 0 1 0 .01 0z",
    square: "M7.5 3.5h9v9h-9z",
    diamond: "M12 2l6 6-6 6-6-6z",
    cross: "M10 3h4v3h3v4h-3v3h-4v-3H7V6h3z",
    star: "M12 1l2.1 4.7 5.1.5-3.9 3.4 1.2 5-4.5-2.7-4.5 2.7 1.2-5L4.8 6.2l5.1-.5z",
    "triangle-up": "M12 3l5.5 9.5h-11z",
    "triangle-down": "M12 13L6.5 3.5h11z",
    "x-thin": "M8 4l8 8M16 4l-8 8",
  };
  const WIDTHS = { dash: "5 3", dot: "2 2.5", dashdot: "5 2.5 1.5 2.5", longdash: "8 3" };
  const make = (name, attributes, parent) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [k, v] of Object.entries(attributes)) element.setAttribute(k, v);
    if (parent) parent.append(element);
    return element;
  };

  // a legend that wraps like text, which plotly's own does not
  const legend = (box, figure) => {
    let list = box.previousElementSibling;
    if (!list || !list.classList.contains("series")) {
      list = document.createElement("ul");
      list.className = "series";
      box.before(list);
    }
    list.replaceChildren();
    if (!figure.layout.showlegend) return;
    for (const trace of figure.data) {
      if (!trace.name) continue;
      const item = document.createElement("li");
      const svg = make("svg", { viewBox: "0 0 24 16", width: 24, height: 16, "aria-hidden": "true" });
      const mode = trace.mode || "";
      if (mode.includes("lines")) {
        const dash = WIDTHS[trace.line.dash] || "none";
        make("path", { d: "M1 8h22", fill: "none", stroke: trace.line.color, "stroke-dasharray": dash,
          "stroke-width": Math.max(trace.line.width || 2, 1.5) }, svg);
      }
      if (mode.includes("markers") && trace.marker.size > 5) {
        const { color, symbol = "circle", line = {} } = trace.marker;
        const edge = line.width ? line.color : color;
        make("path", { d: SHAPES[symbol], fill: symbol === "x-thin" ? "none" : color, stroke: edge,
          "stroke-width": line.width || 0 }, svg);
      }
      item.append(svg, new DOMParser().parseFromString(trace.name, "text/html").documentElement.textContent);
      list.append(item);
    }
  };

  const draw = (box) => {
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue("--" + name).trim();
    const narrow = window.matchMedia("(max-width: 620px)").matches;
    const figure = painted(figures[box.id], css, false);
    const layout = figure.layout;
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { family: css.getPropertyValue("--sans"), size: narrow ? 12 : 13, color: color("ink") };
    layout.hoverlabel = {
      bgcolor: color("card"), bordercolor: color("line"), align: "left",
      font: { family: css.getPropertyValue("--sans"), size: 12.5, color: color("ink") },
    };
    layout.dragmode = narrow ? false : "zoom";
    if (narrow) {
      layout.margin = { l: 4, r: 8, t: 8, b: 0 };
      layout.height = Math.min(layout.height, 330);
      for (const axis of [layout.xaxis, layout.yaxis]) {
        if (axis.nticks) axis.nticks = Math.min(axis.nticks, 6);
        axis.title.standoff = 12;
      }
      for (const trace of figure.data) {
        if (trace.type !== "heatmap") continue;
        trace.texttemplate = "";
        layout.height = 110 + 18 * trace.y.length;
        layout.xaxis.tickfont = layout.yaxis.tickfont = { size: 11 };
      }
      const rows = layout.meta ? layout.meta.rows : (layout.yaxis.categoryarray || []).length;
      if (rows) layout.height = Math.max(220, 90 + 24 * rows);
    }
    legend(box, figure);
    layout.showlegend = false;
    Plotly.purge(box);
    Plotly.newPlot(box, figure.data, layout, {
      displaylogo: false,
      responsive: false,
      showTips: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };

  const boxes = [...document.querySelectorAll(".plot")].filter((box) => box.id in figures);
  const widths = new Map();
  const drawAll = () => boxes.forEach(draw);
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (widths.get(target) === target.clientWidth) continue;
      widths.set(target, target.clientWidth);
      draw(target);
    }
  });
  boxes.forEach((box) => watch.observe(box));
  dark.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", drawAll);
})();
