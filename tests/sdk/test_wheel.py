"""What `pip install` brings."""

import subprocess
import sys
import zipfile
from pathlib import Path

import flagclient

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_both_packages_and_nothing_else(tmp_path):
    build = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"
    # From a copy: a build leaves files behind, and a checkout may be in use.
    source = tmp_path / "source"
    for path in ("pyproject.toml", "README.md", "flagengine", "sdk/python/flagclient"):
        _copy(ROOT / path, source / path)

    built = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"flagclient-{flagclient.__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"flagclient", "flagengine"}
    assert {"flagclient/py.typed", "flagengine/py.typed", "flagclient/openfeature.py"} <= set(names)
    _runs_from_the_wheel(wheel)


def _runs_from_the_wheel(wheel):
    """Evaluate with what is in the wheel alone, the dependencies aside."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import flagclient, flagengine\n"
        "assert sys.argv[1] in flagclient.__file__ and sys.argv[1] in flagengine.__file__\n"
        "with flagclient.FlagClient('http://127.0.0.1:9', 'key') as client:\n"
        "    assert client.string('color', 'mine') == 'mine'\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(wheel)], cwd=wheel.parent, check=True, timeout=60
    )


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            if file.suffix in (".py", ".typed"):
                target.joinpath(file.name).write_bytes(file.read_bytes())
    elif source.exists():
        target.write_bytes(source.read_bytes())
