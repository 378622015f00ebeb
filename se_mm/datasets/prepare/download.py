"""Downloads that go on where they were cut off."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from ...errors import SeMmError
from ...utils.hashing import digest_of
from ...utils.paths import make_folder

_BLOCK = 1 << 20
_PATIENCE = 5


def download(url: str, target: Path, md5: str | None = None, wait: float = 2.0) -> Path:
    """Fetches a file; what is there of it already, in ``target.part``, is not fetched again.

    Args:
        url: http or https, of a server that may drop the connection.
        target: the file to write; left alone if it is there.
        md5: of the whole file, in hexadecimal.
        wait: seconds before the first new attempt; doubled for each that brings nothing.

    Returns:
        ``target``.

    Raises:
        SeMmError: if the server cannot be reached, or the file has another hash.
    """
    if target.is_file():
        return target
    part = target.with_name(f'{target.name}.part')
    make_folder(part.parent, str(part.parent))
    failures, have = 0, part.stat().st_size if part.is_file() else 0
    with tqdm(unit='B', unit_scale=True, unit_divisor=1024, initial=have, desc=target.name) as progress:
        while True:
            try:
                if _fetch_rest(url, part, progress):
                    break
                reason = 'the connection was cut'
            except urllib.error.HTTPError as error:
                raise SeMmError(f'{url} cannot be fetched: HTTP status {error.code} ({error.reason})') from error
            except (OSError, http.client.HTTPException) as error:
                reason = str(error)
            now = part.stat().st_size if part.is_file() else 0
            failures = failures + 1 if now <= have else 0
            have = now
            if failures >= _PATIENCE:
                raise SeMmError(
                    f'{url} cannot be fetched: {reason} ({failures} times in a row). {have} bytes are kept in {part}; '
                    'the same command goes on from there'
                )
            time.sleep(wait * 2**failures if failures else 0)
    if md5 and (found := digest_of(part, 'md5')) != md5:
        part.unlink()
        raise SeMmError(f'{url}: the file has the md5 {found}, published is {md5}; it was deleted, fetch it again')
    return part.replace(target)


def _fetch_rest(url: str, part: Path, progress: tqdm) -> bool:
    """Appends to the part what the server still has; whether the file is whole now."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # there is nothing after what we have
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise OSError(f'HTTP status {error.code}') from error
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:  # a server that always starts from the beginning
            have = 0
            progress.reset()
        length = response.headers.get('Content-Length')
        whole = have + int(length) if length else None
        progress.total = whole
        with part.open('ab' if have else 'wb') as file:
            while block := response.read(_BLOCK):
                file.write(block)
                progress.update(len(block))
    return whole is None or part.stat().st_size >= whole
