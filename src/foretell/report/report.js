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

  const draw = (box) => {
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue("--" + name).trim();
    const narrow = box.clientWidth < 480;
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
      layout.margin = { l: 6, r: 8, t: 8, b: 8 };
      layout.height = Math.min(layout.height, 330);
      for (const axis of [layout.xaxis, layout.yaxis]) {
        if (axis.nticks) axis.nticks = Math.min(axis.nticks, 6);
        axis.title.standoff = 6;
      }
      for (const trace of figure.data) {
        if (trace.type !== "heatmap") continue;
        trace.texttemplate = "";
        delete trace.colorbar.title;
        Object.assign(trace.colorbar, { orientation: "h", y: 1, yanchor: "bottom", len: 1, thickness: 8 });
        layout.height = Math.max(330, 110 + 17 * trace.y.length + 60);
        layout.xaxis.tickfont = layout.yaxis.tickfont = { size: 11 };
      }
      if (layout.yaxis.categoryarray) layout.height = Math.max(220, 90 + 24 * layout.yaxis.categoryarray.length);
    }
    Plotly.react(box, figure.data, layout, {
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
