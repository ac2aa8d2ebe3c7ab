// Texts whose contrast against what is behind them is below 4.5 (WCAG AA).
() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const shade = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; }
    return [255, 255, 255];
  };
  const poor = [];
  document.querySelectorAll("body *:not(script):not(style):not(svg *)").forEach((element) => {
    const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) return;
    const [a, b] = [shade(parse(getComputedStyle(element).color)), shade(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(element.tagName + "." + element.className + " " + element.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  });
  return poor;
}
