"""What goes into an artefact."""

import importlib.util
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from infra import artefacts
from infra.console import Failure
from infra.elf import drop_sections
from infra.settings import load

LOCK = """\
cffi==2.1.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
tzdata==1 ; sys_platform == 'win32' \\
    --hash=sha256:cc
"""


def test_the_pins_of_named_packages_keep_hashes_and_markers() -> None:
    assert artefacts.pinned(["tzdata"], LOCK) == "tzdata==1 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
    assert artefacts.pinned(["cffi"], LOCK).count("--hash") == 2


def test_a_package_without_a_pin_is_refused() -> None:
    with pytest.raises(Failure, match="leftpad"):
        artefacts.pinned(["cffi", "leftpad"], LOCK)


LISTS = sorted(artefacts.FUNCTIONS.glob("*/requirements*.txt"))


@pytest.mark.parametrize("path", LISTS, ids=[str(path.relative_to(artefacts.FUNCTIONS)) for path in LISTS])
def test_every_list_names_only_packages_that_are_pinned(path: Path) -> None:
    assert artefacts.pinned(artefacts.names_in(path), artefacts.PINS.read_text())


def test_handlers_of_a_module_with_a_list_of_its_own_have_that_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "FUNCTIONS", tmp_path)
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "requirements.txt").write_text("chalice\n\n# nothing else\n")
    (tmp_path / "bills" / "requirements-rpc.txt").write_text("redis  # the cache\nprotobuf\n")

    assert artefacts.names_in(artefacts.requirements_of("functions.bills.app.app")) == ["chalice"]
    assert artefacts.names_in(artefacts.requirements_of("functions.bills.rpc.handler")) == ["protobuf", "redis"]


def test_the_embedded_engine_runs_this_interpreter_and_the_others_lambdas() -> None:
    host = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert artefacts.runtime(load({})) == (host, "")
    assert artefacts.runtime(load({"TARGET": "localstack"})) == ("3.13", "x86_64-manylinux_2_34")


def test_wheels_are_those_of_the_architecture_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHITECTURE", "arm64")

    assert artefacts.runtime(load({"TARGET": "aws"})) == ("3.13", "aarch64-manylinux_2_34")


def test_a_native_library_without_its_sections_still_loads_and_the_original_is_untouched(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("msgspec._core")
    assert spec is not None
    assert spec.origin is not None
    original = Path(spec.origin)
    if original.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("native libraries are not ELF files here")
    before = original.read_bytes()
    shutil.copytree(original.parent, tmp_path / "msgspec")
    copy = tmp_path / "msgspec" / original.name
    copy.unlink()
    copy.hardlink_to(original) if original.stat().st_dev == tmp_path.stat().st_dev else shutil.copy2(original, copy)

    saved = drop_sections(copy)

    assert saved > 0
    assert struct.unpack_from("<Q", copy.read_bytes(), 40) == (0,)  # e_shoff
    assert original.read_bytes() == before
    code = "import msgspec; assert msgspec.json.decode(b'[1]') == [1]; print(msgspec.__file__)"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in loaded.stdout


def test_what_is_not_elf_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "lib.so"
    file.write_bytes(b"\xcf\xfa\xed\xfe" + bytes(100))

    assert drop_sections(file) == 0
    assert file.read_bytes() == b"\xcf\xfa\xed\xfe" + bytes(100)


def test_of_zxcvbn_the_list_of_passwords_is_left_as_it_is(tmp_path: Path) -> None:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    shutil.copytree(Path(importlib.util.find_spec("zxcvbn").origin or "").parent, tmp_path / "zxcvbn")  # type: ignore[union-attr]

    artefacts._trim(tmp_path)

    assert [path.name for path in (tmp_path / "zxcvbn").iterdir()] == ["frequency_lists.py"]
    kept: dict[str, dict[str, list[str]]] = {}
    exec((tmp_path / "zxcvbn" / "frequency_lists.py").read_text(), kept)
    assert kept["FREQUENCY_LISTS"] == {"passwords": FREQUENCY_LISTS["passwords"]}


def test_connections_to_redis_work_without_its_clients(tmp_path: Path) -> None:
    shutil.copytree(Path(importlib.util.find_spec("redis").origin or "").parent, tmp_path / "redis")  # type: ignore[union-attr]

    artefacts._trim(tmp_path)

    assert not (tmp_path / "redis" / "client.py").exists()
    code = (
        "import redis\n"
        "for url in 'redis://127.0.0.1:1/0', 'rediss://user:secret@127.0.0.1:1', 'unix:///nowhere':\n"
        "    pool = redis.ConnectionPool.from_url(url)\n"
        "    try: pool.get_connection()\n"
        "    except redis.ConnectionError: print(redis.__file__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(tmp_path / "redis" / "__init__.py")] * 3
