"""The compact list against a plain reading of the same lines."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from se_mm import SeMmError
from se_mm.datasets import image_list
from se_mm.datasets.image_list import ImageList

names = st.text(st.sampled_from('ab/_ é.7'), min_size=1, max_size=12).map(lambda name: name.strip(' ') or 'x')
lines = st.lists(
    st.tuples(names, st.integers(0, 364), st.sampled_from(['\n', '\r\n', '\n\n'])), min_size=1, max_size=30
)


few_examples = settings(max_examples=40)


def fresh_file(tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / 'list.txt'
    file.unlink(missing_ok=True)  # never written over: an older list may still be mapped
    return file


@few_examples
@given(entries=lines, last=st.booleans(), chunk=st.sampled_from([1, 7, 1000]))
def test_it_reads_what_a_plain_reader_reads(entries, last, chunk, tmp_path_factory):
    file = fresh_file(tmp_path_factory)
    text = ''.join(f'{name} {label}{end}' for name, label, end in entries)
    file.write_bytes((text if last else text.rstrip('\r\n')).encode())
    original, image_list._CHUNK = image_list._CHUNK, chunk
    try:
        images = ImageList.read(file, 365)
    finally:
        image_list._CHUNK = original
    assert [(images.path(i), images.label(i)) for i in range(len(images))] == [(n, label) for n, label, _ in entries]
    numbered = [number for number, line in enumerate(file.read_bytes().split(b'\n'), 1) if line.strip(b'\r')]
    assert [images.line(i) for i in range(len(images))] == numbered
    again = pickle.loads(pickle.dumps(images))
    assert [again.path(i) for i in range(len(again))] == [images.path(i) for i in range(len(images))]


@few_examples
@given(
    entries=lines,
    wrong=st.sampled_from(['x', 'x ', 'x -1', 'x 365', 'x 9999', 'x 1a', ' 5', '12']),
    where=st.integers(),
)
def test_a_line_that_is_none_is_named(entries, wrong, where, tmp_path_factory):
    file = fresh_file(tmp_path_factory)
    where %= len(entries) + 1
    good = [f'{name} {label}' for name, label, _ in entries]
    file.write_text('\n'.join([*good[:where], wrong, *good[where:]]))
    with pytest.raises(SeMmError, match=f'line {where + 1}: '):
        ImageList.read(file, 365)


def test_begins_with_at_the_end_of_the_text(tmp_path):
    (tmp_path / 'list.txt').write_text('/a/bar/1.jpg 0\n/a/b 1')
    images = ImageList.read(tmp_path / 'list.txt', 2)
    assert images.begins_with('/a/bar/', np.arange(2)).tolist() == [True, False]
    assert images.begins_with('/a/b', np.arange(2)).tolist() == [True, True]
