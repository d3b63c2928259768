// Draws the figures of a page with ECharts. Each is described by the JSON beside it, see
// templates/staff/_charts.html; the same numbers stand in a table, for whoever has no scripts.
import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TooltipComponent,
} from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

import { numbers } from "../charts/numbers.js";
import { optionOf } from "../charts/options.js";
import { palette } from "../charts/palette.js";

use([
  AriaComponent, BarChart, CanvasRenderer, GridComponent, LegendComponent, LineChart,
  MarkLineComponent, ScatterChart, TooltipComponent,
]);

const draw = (figure) => {
  const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const place = figure.querySelector(".drawn");
  const say = numbers(document.documentElement.lang, spec.unit);
  place.hidden = false;
  const chart = init(place);
  const paint = () => chart.setOption(optionOf(spec, palette(figure), say, place.clientWidth), true);
  paint();
  chart.on("click", (event) => {
    const link = spec.kind === "scatter" ? event.value[3] : spec.links?.[event.dataIndex];
    if (link) location.assign(link);
  });
  new ResizeObserver(() => {
    chart.resize();
    paint();
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  // Paper is white whatever the screen is.
  matchMedia("print").addEventListener("change", paint);
};

document.querySelectorAll("[data-graph]").forEach(draw);
