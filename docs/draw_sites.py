"""Draws docs/hosts_sites.svg: where attention stands. ``python docs/draw_sites.py``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

GATE, PLAIN, SUM = '#f4a261', '#e9ecef', '#ffffff'
#: A node: label, place across and down, what it is.
Node = tuple[str, float, float, str]


def draw(
    axes: Axes, title: str, nodes: dict[str, Node], edges: list[str], width: float = 1.5, shrink: float = 9
) -> None:
    """Boxes and arrows; an edge is two names, ``'a b'``, or three: through a corner beside the third's place."""
    for name, (label, x, y, color) in nodes.items():
        style = 'circle,pad=0.15' if color == SUM and label in '+c' else 'round,pad=0.25'
        box = {'boxstyle': style, 'facecolor': color, 'edgecolor': '#495057', 'linewidth': 0.8}
        axes.text(x, -y, label, ha='center', va='center', fontsize=7, bbox=box, zorder=3, gid=name)
    for edge in edges:
        start, stop, *around = edge.split()
        (_, x0, y0, _), (_, x1, y1, _) = nodes[start], nodes[stop]
        path = [(x0, -y0), (x1, -y1)]
        if around:
            side = float(around[0])
            path = [(x0, -y0), (side, -y0), (side, -y1), (x1, -y1)]
        for (a, b), (c, d) in pairwise(path[:-1]):
            axes.plot([a, c], [b, d], color='#495057', lw=0.9, zorder=1)
        arrow = {'arrowstyle': '-|>', 'color': '#495057', 'lw': 0.9, 'shrinkA': 0 if around else 8, 'shrinkB': shrink}
        axes.annotate('', path[-1], path[-2], arrowprops=arrow, zorder=2)
    axes.set_title(title, fontsize=9)
    axes.set_xlim(-width, width)
    axes.set_ylim(-max(y for _, _, y, _ in nodes.values()) - 0.6, 0.6)
    axes.axis('off')


def residual(position: str) -> tuple[dict[str, Node], list[str]]:
    """A bottleneck with attention at a position."""
    side = -1.0
    chain = ['x', '1x1', '3x3', '1x1 ', '+', 'ReLU']
    place = {'pre': 1, 'conv2': 3, 'standard': 4, 'post': 6}.get(position)
    if place:
        chain.insert(place, 'gate')
    nodes = {f'n{i}': (label, 0.4, i, GATE if label == 'gate' else SUM if label in 'x+' else PLAIN)
             for i, label in enumerate(chain)}  # fmt: skip
    names = {label: f'n{i}' for i, label in enumerate(chain)}
    edges = [f'n{i} n{i + 1}' for i in range(len(chain) - 1)]
    if position == 'identity':
        nodes['gate'] = ('gate', side, 2, GATE)
        nodes['corner'] = ('', side, 0, '#ffffff00')
        edges += [f'{names["x"]} gate {side}', f'gate {names["+"]} {side}']
    else:
        edges.append(f'{names["x"]} {names["+"]} {side}')
    nodes.pop('corner', None)
    return nodes, edges


def chain(labels: list[str]) -> tuple[dict[str, Node], list[str]]:
    """Modules that run one after the other."""
    nodes = {f'n{i}': (label, 0, i, GATE if label == 'gate' else SUM if label in 'x+' else PLAIN)
             for i, label in enumerate(labels)}  # fmt: skip
    return nodes, [f'n{i} n{i + 1}' for i in range(len(labels) - 1)]


def csp_layer() -> tuple[dict[str, Node], list[str]]:
    """The layer of YOLOX and RTMDet."""
    nodes = {
        'x': ('x', 0, 0, SUM),
        'main': ('main_conv', -0.75, 1, PLAIN),
        'blocks': ('blocks', -0.75, 2, PLAIN),
        'short': ('short_conv', 0.75, 1, PLAIN),
        'cat': ('c', 0, 3, SUM),
        'gate': ('gate', 0, 4, GATE),
        'final': ('final_conv (reads)', 0, 5, PLAIN),
    }
    return nodes, ['x main', 'main blocks', 'x short', 'blocks cat', 'short cat', 'cat gate', 'gate final']


def with_shortcut(labels: list[str]) -> tuple[dict[str, Node], list[str]]:
    """The same, with a shortcut to the sum."""
    nodes, edges = chain(labels)
    last = next(name for name, node in nodes.items() if node[0] == '+')
    return nodes, [*edges, f'n0 {last} -1.2']


def fpn() -> tuple[dict[str, Node], list[str]]:
    """Three levels of a pyramid."""
    nodes, edges = {}, []
    for level in range(3):
        down = 1.7 * level
        nodes |= {
            f'c{level}': (f'C{5 - level}', -1.9, down, SUM),
            f'l{level}': ('lateral', -1.0, down, PLAIN),
            f's{level}': ('+', -0.25, down, SUM),
            f'f{level}': ('fpn_convs', 0.75, down, PLAIN),
            f'g{level}': ('gate', 1.75, down, GATE),
        }
        edges += [f'c{level} l{level}', f'l{level} s{level}', f's{level} f{level}', f'f{level} g{level}']
        edges += [f's{level - 1} s{level}'] if level else []
    return nodes, edges


def main() -> None:
    """Writes the file."""
    plt.rcParams.update({'svg.hashsalt': 'se_mm', 'svg.fonttype': 'none'})
    figure, grid = plt.subplots(2, 5, figsize=(11, 8), layout='constrained')
    for axes, position in zip(grid[0], ('standard', 'pre', 'post', 'identity', 'conv2'), strict=True):
        draw(axes, f"attention_position='{position}'", *residual(position))
    depthwise = ['x', '1x1 (expand)', 'depthwise', 'gate', '1x1 (reads)', '+']
    convnext = ['x', 'depthwise 7x7, norm', 'pointwise_conv1', 'GELU', 'pointwise_conv2 (makes)', 'gate', 'gamma', '+']
    draw(grid[1, 0], 'CSPLayer', *csp_layer())
    draw(grid[1, 1], 'InvertedResidual', *with_shortcut(depthwise))
    draw(grid[1, 2], 'ConvNeXt', *with_shortcut(convnext))
    for axes in grid[1, 3:]:
        axes.remove()
    draw(figure.add_subplot(grid[1, 0].get_gridspec()[1, 3:]), 'FPN: a gate a level', *fpn(), width=2.2, shrink=17)
    figure.savefig(Path(__file__).with_name('hosts_sites.svg'), metadata={'Date': None})


if __name__ == '__main__':
    main()
