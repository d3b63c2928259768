// The colours of the page's own style sheet, in light and dark mode and on paper.

export const palette = (element) => {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--ink"),
    soft: colour("--soft"),
    line: colour("--line"),
    sheet: colour("--sheet"),
    series: [1, 2, 3, 4, 5, 6].map((number) => colour(`--series-${number}`)),
    font: style.fontFamily,
  };
};
