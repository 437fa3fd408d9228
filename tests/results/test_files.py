from __future__ import annotations

import errno
import os
from datetime import datetime

import pytest

from nmmfit import atomic
from nmmfit.errors import OutputError
from nmmfit.results import files
from nmmfit.results.files import RunFolder, default_run_path, write_new_text, write_text


def disk_full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """A file that takes some bytes and then finds the disk full."""

    def __init__(self, *args):
        self.stream = open(*args)  # noqa: SIM115 (closed in __exit__)

    def write(self, content):
        self.stream.write(content[: len(content) // 2])
        self.stream.flush()
        disk_full()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stream.close()


@pytest.fixture
def full_disk(monkeypatch):
    monkeypatch.setattr(atomic, "open", FullDisk, raising=False)


def test_published_folder_has_its_files(tmp_path):
    with RunFolder(tmp_path / "a" / "run") as folder:
        folder.write_text("x.txt", "content")
        assert not (tmp_path / "a" / "run").exists()
        assert folder.publish() == tmp_path / "a" / "run"
    assert (tmp_path / "a" / "run" / "x.txt").read_text() == "content"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["run"]


def test_nothing_is_left_when_it_fails(tmp_path):
    def fail():
        with RunFolder(tmp_path / "run") as folder:
            folder.write_text("x.txt", "content")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_interrupt_keeps_a_complete_posterior(tmp_path):
    def interrupted(name):
        with RunFolder(tmp_path / "run") as folder:
            folder.write_text(name, "content")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted("run.toml")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        interrupted("posterior.nc")
    assert (tmp_path / "run" / "posterior.nc").exists()


def test_folder_in_use_is_refused_and_untouched(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text("earlier")
    with pytest.raises(OutputError, match=r"not empty \(it holds 'summary.json'\)") as error:
        RunFolder(tmp_path / "run")
    assert error.value.exit_code == 2
    assert (tmp_path / "run" / "summary.json").read_text() == "earlier"


def test_empty_folder_is_used(tmp_path):
    (tmp_path / "run").mkdir()
    with RunFolder(tmp_path / "run") as folder:
        folder.write_text("x", "1")
        folder.publish()
    assert (tmp_path / "run" / "x").read_text() == "1"


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match="there is a file of that name"):
        RunFolder(tmp_path / "run")
    with pytest.raises(OutputError, match=r"run is a file, not a folder"):
        RunFolder(tmp_path / "run" / "below")


def test_the_working_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", tmp_path / "here"):
        with pytest.raises(OutputError, match="this is the folder in which the program runs"):
            RunFolder(name)
    with pytest.raises(OutputError, match="not empty"):
        RunFolder("..")


def test_a_link_to_an_empty_folder_stays(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    with RunFolder(tmp_path / "link") as folder:
        folder.write_text("x", "1")
        assert folder.publish() == (tmp_path / "there").resolve()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "link" / "x").read_text() == "1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "there"]


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        RunFolder(tmp_path / ("a" * 300))
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_is_complete_or_not_there(tmp_path, monkeypatch):
    write_new_text(tmp_path / "x.txt", "content")
    assert (tmp_path / "x.txt").read_text() == "content"
    with pytest.raises(OutputError, match=r"x.txt: this file exists; it is not overwritten"):
        write_new_text(tmp_path / "x.txt", "other")
    assert (tmp_path / "x.txt").read_text() == "content"
    monkeypatch.setattr(atomic, "open", FullDisk, raising=False)
    with pytest.raises(OutputError, match=r"y.txt: the disk is full"):
        write_new_text(tmp_path / "y.txt", "content")
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_name_taken_meanwhile_does_not_lose_the_run(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.write_text("x", "mine")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "x").write_text("theirs")
        assert folder.publish() == tmp_path / "run-2"
    assert (tmp_path / "run" / "x").read_text() == "theirs"
    assert (tmp_path / "run-2" / "x").read_text() == "mine"


def test_unwritable_place_is_found_before_the_computation(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*run: Permission denied"):
        RunFolder(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop the superuser")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            RunFolder(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.usefixtures("full_disk")
def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    def run():
        with RunFolder(tmp_path / "run") as folder:
            folder.write_text("summary.json", "0123456789")

    with pytest.raises(OutputError, match=r"^cannot write .*summary.json: the disk is full$") as error:
        run()
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_disk")
def test_full_disk_leaves_an_older_file_alone(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"older")
    with pytest.raises(OutputError, match="the disk is full"):
        write_text(tmp_path / "x.txt", "newer")
    assert (tmp_path / "x.txt").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


def test_default_names_are_times_and_never_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 3, 4, 5, 6, 7)
    assert str(default_run_path(now)) == "nmmfit-runs/20260304-050607"
    for name in ("20260304-050607", "20260304-050607-2"):
        (tmp_path / "nmmfit-runs" / name).mkdir(parents=True)
    assert str(default_run_path(now)) == "nmmfit-runs/20260304-050607-3"
    with RunFolder() as folder:
        folder.publish()
    assert folder.final.is_dir()
    assert folder.final.parent.name == "nmmfit-runs"


def test_a_folder_that_is_given_up_takes_the_parents_made_for_it_along(tmp_path):
    (tmp_path / "old").mkdir()
    with RunFolder(tmp_path / "old" / "new" / "deep" / "run"):
        pass
    assert list((tmp_path / "old").iterdir()) == []
    with RunFolder(tmp_path / "old" / "new" / "run"):
        (tmp_path / "old" / "new" / "other").mkdir()
    assert [p.name for p in (tmp_path / "old" / "new").iterdir()] == ["other"]


def test_two_unnamed_folders_of_one_second(tmp_path, monkeypatch):
    from nmmfit.results import resumable

    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "runs" / name for name in ("now", "now", "now-2")]
    monkeypatch.setattr(resumable, "default_run_path", lambda: paths.pop(0))
    with resumable.ResumableFolder(None, {}, None) as one:
        # The other looked for a name before this one took it.
        monkeypatch.setattr(resumable, "_refuse", lambda path: None)
        with resumable.ResumableFolder(None, {}, None) as other:
            assert (one.final.name, other.final.name) == ("now", "now-2")
    # Nothing was finished in either.
    assert list(tmp_path.iterdir()) == []
