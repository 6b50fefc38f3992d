"""The journal's file: appended records are read back, torn tails are cut off, and a full disk is noticed in time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gymserve.journal import Closed, Created, Ended, Journal, Monitored, Reset, Step, read, records
from gymserve.journal.file import FIRST_ROOM, MOST_ROOM, frames
from gymserve.protocol.errors import StorageFull
from gymserve.protocol.recipe import Recipe
from tests.support.servers import small_disk

RECIPE = Recipe(env_id="CartPole-v1", environment="CartPole-v1")
LIMIT = 1 << 30
FIXTURE = Path(__file__).parent / "version1.journal"


def written(path: Path, *bodies: bytes, recipe: Recipe = RECIPE) -> Journal:
    journal = Journal.create(path, records.encode_created(recipe), limit=LIMIT)
    for body in bodies:
        journal.append(body)
    return journal


def a_step(number: int, call: int | None = None) -> bytes:
    return records.encode_step(call, number, number % 2, 1.0, False, False, None)


def test_every_kind_of_record_is_read_back(tmp_path: Path) -> None:
    kept = [
        Created(RECIPE),
        Reset(7, 2**64 - 1, 1.5, 3, {"low": -0.1}, None),
        Step(8, 5, 1, -1.5, False, False, None),
        Step(-5, 6, b"\0\1", float("inf"), True, False, 9.0),
        Step(None, 6, [1, "a"], 0.0, False, True, 9.0),
        Reset(None, 0, 2.0, None, None, b"[]"),
        Reset(None, 0, 2.0, None, None, None, 2**63 - 1),
        Monitored({"directory": "tmp"}, 3.0),
        Monitored(None, 4.0),
        Ended(3, "reset", -7, 4.5),
        Closed("idle", 5.0),
    ]
    encoders = {Reset: records.encode_reset, Monitored: lambda r: records.encode_monitored(*r)}
    encoders |= {Step: lambda r: records.encode_step(*r), Closed: lambda r: records.encode_closed(*r)}
    encoders |= {Ended: lambda r: records.encode_ended(*r)}
    journal = written(tmp_path / "journal", *(encoders[type(record)](record) for record in kept[1:]))
    assert list(read(journal.path)) == kept
    journal.close()
    assert list(read(journal.path)) == kept


def test_a_cartpole_step_is_small(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal")
    for call, size in ((None, 24), (2**32 - 1, 28)):
        before = journal._end
        journal.append(a_step(2**63, call))
        assert journal._end - before == size <= 32


@pytest.mark.parametrize(("size", "prefix"), [(1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3)])
def test_the_size_prefix_is_as_short_as_possible(tmp_path: Path, size: int, prefix: int) -> None:
    journal = written(tmp_path / "journal")
    before, body = journal.size, bytes((9,)) * size
    journal.append(body)
    assert journal.size - before == prefix + size + 4
    assert [body for body, _, _ in frames(journal.path.read_bytes())][1:] == [body]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_record_that_fills_the_room_is_read_while_the_journal_is_written(tmp_path: Path, missing: int) -> None:
    journal = written(tmp_path / "journal")
    left = journal._room - journal._end - missing
    body = records.encode_closed("x" * 5000, 1.0)
    over = len(body) + 6 - left  # with its size and its check
    journal.append(records.encode_closed("x" * (5000 - over), 1.0))
    assert journal._end == FIRST_ROOM - missing
    kept = list(read(journal.path))
    assert len(kept) == 2
    for number in range(3):
        journal.append(a_step(number))
        assert list(read(journal.path)) == [
            *kept,
            *(Step(None, n, n % 2, 1.0, False, False, None) for n in range(number + 1)),
        ]
    journal.close()


def test_a_torn_tail_is_cut_off_when_the_journal_is_reopened(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal", a_step(1))
    journal.close()
    whole = journal.path.stat().st_size
    journal.path.write_bytes(journal.path.read_bytes() + b"torn" * 5000)
    Journal.reopen(journal.path, limit=LIMIT)
    assert journal.path.stat().st_size == whole


def test_sync_calls_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    journal = written(tmp_path / "journal", a_step(1))
    journal.sync()
    journal.close()
    assert synced == [str(journal.path)]


@pytest.mark.guarantee("a journal is torn at any byte")
def test_a_journal_truncated_at_any_byte_keeps_the_complete_records(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal")
    ends = [journal._end]
    for number in range(20):
        journal.append(a_step(number))
        ends.append(journal._end)
    journal.close()
    data, whole = journal.path.read_bytes(), list(read(journal.path))
    for size in range(ends[0], len(data) + 1):
        torn = tmp_path / "torn"
        torn.write_bytes(data[:size])
        count = sum(end <= size for end in ends)
        assert list(read(torn)) == whole[:count]
        reopened, records_before = Journal.reopen(torn, limit=LIMIT)
        assert records_before == whole[:count]
        reopened.append(a_step(99))
        reopened.close()
        assert list(read(torn)) == [*whole[:count], Step(None, 99, 1, 1.0, False, False, None)]


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_byte_ends_the_journal_there(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = written(Path(folder) / "journal", *(a_step(number) for number in range(10)))
        journal.close()
        content, whole = bytearray(journal.path.read_bytes()), list(read(journal.path))
        place = data.draw(st.integers(len(content) - 240, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        journal.path.write_bytes(content)
        kept = list(read(journal.path))
        assert kept == whole[: len(kept)] and len(kept) <= 1 + (place - (len(content) - 240)) // 24


def mapped(path: Path) -> int:
    """The number of bytes of a file that are mapped into this process."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [[int(end, 16) for end in line[0].split("-")] for line in lines]
    return sum(end - start for start, end in ranges)


def test_a_growing_journal_can_be_read(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal")
    for number in range(200_000):
        journal.append(a_step(number))
        if number % 50_000 == 0:
            assert sum(1 for _ in read(journal.path)) == number + 2
    assert 0 < mapped(journal.path) <= 2 * MOST_ROOM  # of a file of almost five megabytes
    large = records.encode_step(None, 1, b"x" * 3_000_000, 1.0, False, False, None)
    journal.append(large)
    journal.close()
    assert sum(1 for _ in read(journal.path)) == 200_002


def test_the_file_grows_in_few_large_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To grow takes a hundred times as long as to append a record."""
    grown: list[int] = []
    allocate = os.posix_fallocate

    def noted(descriptor: int, start: int, room: int) -> None:
        grown.append(room)
        allocate(descriptor, start, room)

    monkeypatch.setattr(os, "posix_fallocate", noted)
    journal = written(tmp_path / "journal", *(a_step(number) for number in range(20_000)))
    journal.close()
    assert 3 < len(grown) < 12


def test_a_journal_does_not_exceed_its_limit(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", records.encode_created(RECIPE), limit=5000)
    with pytest.raises(StorageFull, match="limit of 5000 bytes"):
        for number in range(1000):
            journal.append(a_step(number))
    count = sum(1 for _ in read(journal.path))
    journal.close()
    assert 100 < count == sum(1 for _ in read(journal.path))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        yield disk


@pytest.mark.guarantee("the disk is full")
def test_a_full_disk_loses_no_acknowledged_record(disk: Path) -> None:
    journal = written(disk / "journal")
    appended = 0
    with pytest.raises(StorageFull, match="cannot grow"):
        while True:
            journal.append(a_step(appended))
            appended += 1
    assert sum(1 for _ in read(journal.path)) == appended + 1 > 1000
    with pytest.raises(StorageFull):
        Journal.create(disk / "another", records.encode_created(RECIPE), limit=LIMIT)


WRITER = """
import sys
from pathlib import Path
from gymserve.journal import Journal, records
from gymserve.protocol.recipe import Recipe
recipe = Recipe(env_id="CartPole-v1", environment="CartPole-v1")
journal = Journal.create(Path(sys.argv[1]), records.encode_created(recipe), limit=1 << 30)
number = 0
while True:
    journal.append(records.encode_step(number, number, 0, 1.0, False, False, None))
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("lines", [1, 200, 3000])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(lines):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = [lines - 1, *(int(line) for line in writer.stdout if line.endswith("\n"))]
    writer.stdout.close()
    writer.wait()
    _, kept = Journal.reopen(path, limit=LIMIT)
    assert [record.call for record in kept if isinstance(record, Step)][: max(acknowledged) + 1] == list(
        range(max(acknowledged) + 1)
    )


@pytest.mark.parametrize("content", [b"", b"gymserve journal 9\n", b"something else entirely"])
def test_a_file_that_is_not_a_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(ValueError, match="not a journal that this version reads"):
        list(read(tmp_path / "journal"))
    with pytest.raises(ValueError, match="journal"):
        Journal.reopen(tmp_path / "journal", limit=LIMIT)


def test_show_prints_one_record_per_line() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "gymserve.cli", "journal", "show", FIXTURE], capture_output=True, text=True, check=True
    )
    lines = shown.stdout.splitlines()
    assert (
        len(lines) == 6 and "digest=deadbeefcafebabe" not in lines[0] and "step" in lines[2] and "action=1" in lines[2]
    )
    missing = subprocess.run(
        [sys.executable, "-m", "gymserve.cli", "journal", "show", "no-such"], capture_output=True, text=True
    )
    assert missing.returncode == 2 and "no-such" in missing.stderr and "Traceback" not in missing.stderr


def test_show_ends_quietly_when_its_reader_closes_the_pipe(tmp_path: Path) -> None:
    """`show FILE | head -1` closes the pipe after the first line."""
    journal = written(tmp_path / "journal", *(a_step(number) for number in range(20_000)))
    command = [sys.executable, "-m", "gymserve.cli", "journal", "show", journal.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None and shown.stderr is not None
        assert shown.stdout.readline().startswith("created")
        shown.stdout.close()
        assert shown.stderr.read() == ""
    assert shown.returncode == 0
