// What ECharts is told to draw for each kind of figure.

const ROOM_FOR_A_LABEL = 64;

const LEGEND_LINE = 20;
const MARK_AND_GAPS = 28;

const ruler = document.createElement("canvas").getContext("2d");

// How high the legend is: names stand side by side as far as they fit.
const legendHeight = (spec, colours, width) => {
  if (spec.series.length < 2) return 0;
  ruler.font = `12px ${colours.font}`;
  const widths = spec.series.map(({ name }) => MARK_AND_GAPS + ruler.measureText(name).width);
  let lines = 1;
  let used = 0;
  for (const each of widths) {
    if (used && used + each > width) [lines, used] = [lines + 1, 0];
    used += each;
  }
  return lines * LEGEND_LINE + 4;
};

const axisText = (colours) => ({ color: colours.soft, fontFamily: colours.font, fontSize: 12 });

const tooltip = (colours, more) => ({
  confine: true,
  renderMode: "richText", // the page's policy allows no styles within HTML
  backgroundColor: colours.sheet,
  borderColor: colours.line,
  textStyle: { color: colours.ink, fontFamily: colours.font, fontSize: 13 },
  ...more,
});

const legend = (spec, colours) => ({
  show: spec.series.length > 1,
  top: 0,
  left: 0,
  icon: "roundRect",
  itemWidth: 10,
  itemHeight: 10,
  textStyle: { ...axisText(colours), color: colours.ink },
});

const frame = (spec, colours) => ({
  color: colours.series,
  animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  animationDuration: 250,
  aria: { enabled: false }, // the page's own caption and table say it
  textStyle: { fontFamily: colours.font },
  legend: legend(spec, colours),
});

const overCategories = (spec, colours, say, width) => {
  const isLines = spec.kind === "lines";
  const room = Math.max(2, Math.floor(width / ROOM_FOR_A_LABEL));
  return {
    ...frame(spec, colours),
    grid: { left: 4, right: 12, top: 12 + legendHeight(spec, colours, width), bottom: 4, containLabel: true },
    tooltip: tooltip(colours, { trigger: "axis", valueFormatter: say.long }),
    xAxis: {
      type: "category",
      data: spec.x,
      boundaryGap: !isLines,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colours.line } },
      axisLabel: { ...axisText(colours), interval: Math.max(0, Math.ceil(spec.x.length / room) - 1), hideOverlap: true },
    },
    yAxis: {
      type: "value",
      minInterval: spec.unit === "count" ? 1 : 0,
      splitLine: { lineStyle: { color: colours.line } },
      axisLabel: { ...axisText(colours), formatter: say.short },
    },
    series: spec.series.map(({ name, values, dashed }) => ({
      name,
      data: values,
      type: isLines ? "line" : "bar",
      stack: spec.kind === "stack" ? "all" : undefined,
      barMaxWidth: 36,
      showSymbol: spec.x.length < 40,
      symbolSize: 5,
      lineStyle: { width: 2, type: dashed ? "dashed" : "solid" },
    })),
  };
};

const funnel = (spec, colours, say, width) => {
  // Bars from one edge, longest first: lengths can be compared, areas of a funnel cannot.
  const upright = overCategories(spec, colours, say, width);
  return {
    ...upright,
    grid: { ...upright.grid, right: 72 },
    xAxis: { type: "value", show: false, max: "dataMax" },
    yAxis: { ...upright.xAxis, axisLabel: axisText(colours), inverse: true, boundaryGap: true, axisLine: { show: false } },
    series: upright.series.map((series) => ({
      ...series,
      type: "bar",
      label: { show: true, position: "right", color: colours.ink, formatter: ({ value }) => say.short(value) },
    })),
  };
};

const scatter = (spec, colours, say, width) => {
  const axis = (name, place) => ({
    type: "value",
    name,
    ...place,
    nameTextStyle: { ...axisText(colours), color: colours.ink, align: place.align },
    splitLine: { show: false },
    axisLine: { show: true, lineStyle: { color: colours.line } },
    axisLabel: { ...axisText(colours), formatter: say.short, hideOverlap: true },
  });
  const lines = [
    ...(spec.x_line === undefined ? [] : [{ xAxis: spec.x_line }]),
    ...(spec.y_line === undefined ? [] : [{ yAxis: spec.y_line }]),
  ];
  return {
    ...frame(spec, colours),
    grid: { left: 4, right: 16, top: 32 + legendHeight(spec, colours, width), bottom: 28, containLabel: true },
    tooltip: tooltip(colours, {
      formatter: ({ value: [x, y, label] }) => `${label}\n${spec.x_name} ${say.long(x)}\n${spec.y_name} ${say.long(y)}`,
    }),
    xAxis: axis(spec.x_name, { nameLocation: "middle", nameGap: 30 }),
    yAxis: axis(spec.y_name, { nameLocation: "end", nameGap: 12, align: "left" }),
    series: spec.series.map(({ name, values }, place) => ({
      name,
      type: "scatter",
      data: values,
      symbolSize: 9,
      itemStyle: { opacity: 0.75 },
      markLine: place || !lines.length ? undefined : {
        silent: true,
        symbol: "none",
        label: { show: false },
        lineStyle: { color: colours.soft, type: "dashed" },
        data: lines,
      },
    })),
  };
};

export const optionOf = (spec, colours, say, width) => {
  if (spec.kind === "funnel") return funnel(spec, colours, say, width);
  if (spec.kind === "scatter") return scatter(spec, colours, say, width);
  return overCategories(spec, colours, say, width);
};
