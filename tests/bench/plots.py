"""Plots of the figures as SVG, light or dark as the reader's page is: for each a bar from the worst to the best round, its median,
and the bound."""

import html

ROW = 34
LEFT = 510
WIDTH = 1000
STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .dim { fill: #656d76 } .frame { stroke: #d0d7de }
  .spread { fill: #54aeff; opacity: .45 } .median { fill: #0969da } .bound { stroke: #cf222e; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .dim { fill: #8d96a0 } .frame { stroke: #30363d } .median { fill: #58a6ff } .bound { stroke: #ff7b72 } }
</style>"""


def plot(title, figures):
    height = 60 + ROW * len(figures)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">', STYLE,
             f'<text x="12" y="24" font-weight="600">{html.escape(title)}</text>',
             f'<text class="dim" x="{WIDTH - 12}" y="24" text-anchor="end">each row has a scale of its own; dashed: the bound</text>']
    for number, figure in enumerate(figures):
        y = 44 + ROW * number
        most = max([*figure.ratios, figure.bound or 0]) * 1.15

        def x(value):
            return LEFT + (WIDTH - LEFT - 90) * value / most
        low, high = min(figure.ratios), max(figure.ratios)
        lines += [f'<text x="12" y="{y + 16}">{html.escape(shortened(f"{figure.what} / {figure.against}"))}</text>',
                  f'<line class="frame" x1="{LEFT}" x2="{x(most):.1f}" y1="{y + 12}" y2="{y + 12}"/>',
                  f'<rect class="spread" x="{x(low):.1f}" y="{y + 4}" width="{max(x(high) - x(low), 1):.1f}" height="16" rx="2"/>',
                  f'<rect class="median" x="{x(figure.median) - 2:.1f}" y="{y + 1}" width="4" height="22"/>',
                  f'<text x="{WIDTH - 12}" y="{y + 16}" text-anchor="end">{figure.median:.3g} <tspan class="dim">{bound_of(figure)}</tspan></text>']
        if figure.bound is not None:
            lines.append(f'<line class="bound" x1="{x(figure.bound):.1f}" x2="{x(figure.bound):.1f}" y1="{y}" y2="{y + 24}"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def bound_of(figure):
    return "" if figure.bound is None else f"{'≥' if figure.at_least else '≤'} {figure.bound:g}"


def shortened(text, most=76):
    return text if len(text) <= most else text[:most - 1] + "…"


def draw(figures, into):
    for name, title, at_least in (("rates", "More is better: requests a second, as a ratio", True), ("costs", "Less is better", False)):
        chosen = [figure for figure in figures if figure.at_least == at_least]
        if chosen:
            (into / f"{name}.svg").write_text(plot(title, chosen))
