"""The architecture, read from the import statements of all modules: see "Code layout" in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.helpers import REPOSITORY

from se_mm.cli import COMMANDS

PACKAGE = REPOSITORY / 'se_mm'
#: One room a floor, from the top to the bottom. A module imports from its own room and from those below it.
FLOORS = (
    'cli', 'apis', 'analysis', 'benchmarks', 'engine', 'visualization', 'evaluation', 'export', 'swap', 'datasets',
    'config', 'models', 'weights', 'compat', 'utils', 'registry', 'errors', 'version',
)  # fmt: skip
LOOSE = {'__init__', '__main__', 'errors', 'registry', 'version'}


def name_of(file: Path) -> str:
    return '.'.join(file.relative_to(REPOSITORY).with_suffix('').parts).removesuffix('.__init__')


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob('*.py'))}


def imports(module: str, lazy: bool) -> set[str]:
    """The modules that a module names in imports, absolute; ``lazy``: also in functions and under TYPE_CHECKING."""
    file = MODULES[module]
    package = name_of(file.parent / '__init__.py').split('.')
    found: set[str] = set()
    for node in statements(ast.parse(file.read_text()), lazy):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            source = '.'.join(parent + (node.module.split('.') if node.module else []))
            found.update(f'{source}.{alias.name}' for alias in node.names)
    return {existing(name) for name in found}


def statements(node: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        deferred = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or (
            isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.unparse(child.test)
        )
        if lazy or not deferred:
            yield child
            yield from statements(child, lazy)


def existing(name: str) -> str:
    """The module of ours that ``se_mm.a.b.thing`` stands in; the first part of any other name."""
    if not name.startswith('se_mm.'):
        return name.partition('.')[0]
    while name not in MODULES:
        name = name.rpartition('.')[0]
    return name


def floor(module: str) -> int:
    room = module.split('.')[1]
    return FLOORS.index('cli' if room == '__main__' else room)


def test_every_room_has_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob('*.py'))}
    assert {path.stem for path in PACKAGE.glob('*.py')} == LOOSE
    assert rooms | LOOSE - {'__init__', '__main__'} == set(FLOORS)


def test_imports_lead_down():
    upwards = {
        (module, imported)
        for module in MODULES
        for imported in imports(module, lazy=True)
        if imported.startswith('se_mm.') and module != 'se_mm' and floor(imported) < floor(module)
    }
    assert not upwards


def test_nothing_but_the_scripts_imports_the_command_line():
    assert not {
        module
        for module in MODULES
        for imported in imports(module, lazy=True)
        if imported.startswith('se_mm.cli') and not module.startswith(('se_mm.cli', 'se_mm.__main__'))
    }


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {name for name in imports(module, lazy=True) if name.startswith('se_mm') and name != module}
        for module in MODULES
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize(
    ('package', 'below'), [('se_mm.models.attention', ()), ('se_mm.models.fused', ('se_mm.models.attention',))]
)
def test_layers_need_torch_alone(package, below):
    allowed = {*sys.stdlib_module_names, 'torch', 'triton', 'se_mm.errors', 'se_mm.compat.torch_internals'}
    foreign = {
        (module, name)
        for module in MODULES
        if module.startswith(package)
        for name in imports(module, lazy=True) - allowed
        if not name.startswith((package, *below))
    }
    assert not foreign


@pytest.mark.parametrize('command', COMMANDS.values())
def test_each_command_has_a_script_that_does_nothing_else(command):
    script = ast.parse((REPOSITORY / 'tools' / f'{command}.py').read_text())
    assert ast.unparse(script.body[-1]) == f"if __name__ == '__main__':\n    main('{command}')"
    assert ast.unparse(script.body[1:-1][0]) == 'from se_mm.cli import main'
    assert len(script.body) == 3


def test_each_script_is_a_command():
    assert {path.stem for path in (REPOSITORY / 'tools').glob('*.py')} == set(COMMANDS.values())


def test_functions_are_read_in_one_sitting():
    long = {
        f'{module}.{node.name}'
        for module, file in MODULES.items()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60
    }
    assert not long
