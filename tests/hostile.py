"""Files that would harm a careless reader: each, when loaded with pickle, writes a canary."""

from __future__ import annotations

import copyreg
import io
import logging
import marshal
import os
import pickle
import shlex
import struct
import subprocess
import timeit
import zipfile
from pathlib import Path

import numpy as np
import torch

from tests import stylegan


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.target, "executed")


def torch_zip(path: Path, canary: Path) -> Path:
    """A torch zip whose pickle runs code."""
    torch.save({"netD": {"weight": torch.zeros(2, 2)}, "extra": Canary(canary)}, path)
    return path


def torch_legacy(path: Path, canary: Path) -> Path:
    """A legacy torch file whose pickle runs code."""
    torch.save(
        {"netD": {"weight": torch.zeros(2, 2)}, "extra": Canary(canary)}, path, _use_new_zipfile_serialization=False
    )
    return path


def plain_pickle(path: Path, canary: Path, protocol: int = 4) -> Path:
    """A bare pickle that is nothing but code."""
    path.write_bytes(pickle.dumps({"D": Canary(canary)}, protocol=protocol))
    return path


def only_code_zip(path: Path, canary: Path) -> Path:
    """A torch zip that is nothing but code."""
    torch.save({"extra": Canary(canary)}, path)
    return path


def only_code_legacy(path: Path, canary: Path) -> Path:
    """A legacy torch file that is nothing but code."""
    torch.save({"extra": Canary(canary)}, path, _use_new_zipfile_serialization=False)
    return path


def npz_with_pickle(path: Path, canary: Path) -> Path:
    """A NumPy archive with an object array that runs code."""
    buffer = io.BytesIO()
    buffer.write(b"\x93NUMPY\x01\x00")
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    buffer.write(struct.pack("<H", len(header)) + header + pickle.dumps(Canary(canary)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extra.npy", buffer.getvalue())
    return path


def compressed_torch(path: Path, content: object) -> Path:
    """A torch file whose members are deflated: a thousand times larger once open."""
    plain = path.with_suffix(".plain")
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    plain.unlink()
    return path


def fragment(value: object) -> bytes:
    """The instructions that leave one object on the stack, to be put anywhere in another pickle."""
    return pickle.dumps(value, protocol=2, fix_imports=False)[2:-1]


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.arguments


class SetLate:
    """An object whose state is set by a function that the file names: the sixth value of `__reduce_ex__`."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return str, (self.source,), {"__name__": "canary"}, None, None, exec


def _text(value: str | Path) -> bytes:
    return b"X" + struct.pack("<I", len(str(value).encode())) + str(value).encode()


def payloads(canary: Path) -> dict[str, bytes]:
    """Instructions that write `canary` when they are obeyed, each by another way, by its name."""
    source, shell = f"open({str(canary)!r}, 'w').write('executed')", f"touch {shlex.quote(str(canary))}"
    saved = io.BytesIO()
    torch.save(Canary(canary), saved, _use_new_zipfile_serialization=False)
    code = marshal.dumps(compile(source, "canary", "exec"))
    called = _text(shell) + b"\x85R"
    place = b"cpathlib\nPath\n" + _text(canary) + b"\x85R"
    return {
        "os.system": fragment(Call(os.system, shell)),
        "eval": fragment(Call(eval, source)),
        "exec": fragment(Call(exec, source, {})),
        "subprocess": fragment(Call(subprocess.check_call, ["touch", str(canary)])),
        "a bound method": fragment(Canary(canary)),
        "getattr, then a call": b"cbuiltins\ngetattr\n" + place + _text("touch") + b"\x86R)R",
        "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93" + called,
        "STACK_GLOBAL from the memo": b"\x8c\x02osq\x00\x8c\x06systemq\x01h\x00h\x01\x93" + called,
        "STACK_GLOBAL with dots": b"\x8c\x07pathlib\x8c\x0aPath.touch\x93" + place + b"\x85R",
        "GLOBAL of a submodule": b"cposix\nsystem\n" + called,
        "INST": b"(" + _text(shell) + b"ios\nsystem\n",
        "OBJ": b"(cos\nsystem\n" + _text(shell) + b"o",
        "NEWOBJ": fragment(Opener) + _text(canary) + b"\x85\x81",
        "a registered extension": b"ccopyreg\nadd_extension\n(X\x02\0\0\0osX\x06\0\0\0systemK\xc8tR\x82\xc8" + called,
        "a pickle in a pickle": fragment(Call(pickle.loads, pickle.dumps(Call(os.system, shell)))),
        "a late state setter": fragment(SetLate(source)),
        "__setstate__ of a partial": (
            b"cfunctools\npartial\ncbuiltins\nprint\n\x85R(cos\nsystem\n" + _text(shell) + b"\x85}Ntb)R"
        ),
        "copyreg._reconstructor": fragment(
            Call(copyreg._reconstructor, subprocess.Popen, subprocess.Popen, ["touch", str(canary)])  # type: ignore[attr-defined]
        ),
        "copyreg.__newobj__": b"ccopyreg\n__newobj__\n" + fragment(Opener) + _text(canary) + b"\x86R",
        "a marshalled function": (b"ctypes\nFunctionType\ncmarshal\nloads\n" + fragment(code) + b"\x85R}\x86R)R"),
        "operator.methodcaller": b"coperator\nmethodcaller\n" + _text("touch") + b"\x85R" + place + b"\x85R",
        "timeit": fragment(Call(timeit.timeit, source, "pass", timeit.default_timer, 1)),
        "runpy": b"crunpy\n_run_code\n" + fragment(compile_text(source)) + b"}\x86R",
        "open": fragment(Call(open, str(canary), "w")),
        "a log file": fragment(Call(logging.FileHandler, str(canary))),
        "an archive": fragment(Call(zipfile.ZipFile, str(canary), "w")),
        "NumPy objects": fragment(np.array([Canary(canary)], dtype=object)),
        "a NumPy number": b"cnumpy._core.multiarray\nscalar\n" + fragment(Canary(canary)) + b"N\x86R",
        "_load_from_bytes": fragment(Call(torch.storage._load_from_bytes, saved.getvalue())),
        "in place of a storage": (
            b"ctorch._utils\n_rebuild_tensor_v2\n(" + fragment(Canary(canary)) + b"K\x00K\x02\x85K\x01\x85\x89}tR"
        ),
        "in a dict's keys": b"}(" + fragment(Canary(canary)) + b"K\x01u",
        "in a set": b"(" + fragment(Canary(canary)) + b"\x91",
        "source code beside an object": (
            b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
            + fragment({"type": "class", "version": 6, "module_src": source, "class_name": "D", "state": {}})
            + b"\x85R"
        ),
        "a state that runs": (
            b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(X\x0a\0\0\0module_srcX\x04\0\0\0passX\x05\0\0\0state"
            + fragment(Canary(canary))
            + b"u\x85R"
        ),
        "an import that acts": b"ccanary_when_imported\nname\n",
        "thrown away": fragment(Call(os.system, shell)) + b"0N",
    }


class Opener:
    """A class whose `__new__` writes the canary."""

    def __new__(cls, canary: str) -> Opener:
        Path(canary).write_text("executed")
        return super().__new__(cls)


def compile_text(source: str) -> object:
    """A call that compiles source text."""
    return Call(compile, source, "canary", "exec")


def alone(payload: bytes) -> bytes:
    """A pickle that is nothing but a payload."""
    return b"\x80\x04" + payload + b"."


def beside(payload: bytes, network: bytes) -> bytes:
    """A snapshot whose discriminator is whole, with a payload before it."""
    return b"\x80\x04}(" + _text("extra") + payload + _text("D") + network + b"u."


def inside_metadata(payload: bytes) -> bytes:
    """A `.metadata` of torch.distributed.checkpoint, with a payload where its plan is."""
    return (
        b"\x80\x04ctorch.distributed.checkpoint.metadata\nMetadata\n)\x81}("
        + _text("state_dict_metadata")
        + b"}"
        + _text("planner_data")
        + payload
        + _text("storage_data")
        + b"}ub."
    )


def write_corpus(folder: Path, canaries: Path) -> dict[str, tuple[Path, Path]]:
    """Write every payload in every place; return the file to examine and its canary, by the case's name."""
    folder.mkdir(parents=True, exist_ok=True)
    canaries.mkdir(parents=True, exist_ok=True)
    network = stylegan.network_fragment(stylegan.Discriminator())
    cases: dict[str, tuple[Path, Path]] = {}
    for number, name in enumerate(payloads(Path("x"))):
        for place, wrap in (("alone", alone), ("beside D", lambda item: beside(item, network))):
            canary = canaries / f"{number}-{place.split()[0]}"
            path = folder / f"{number}-{place.split()[0]}.pkl"
            path.write_bytes(wrap(payloads(canary)[name]))
            cases[f"{name}, {place}"] = (path, canary)
        for place, wrap in (("as .metadata", alone), ("in .metadata", inside_metadata)):
            canary = canaries / f"{number}-{place.split()[0]}-metadata"
            path = folder / f"{number}-{place.split()[0]}" / ".metadata"
            path.parent.mkdir()
            path.write_bytes(wrap(payloads(canary)[name]))
            cases[f"{name}, {place}"] = (path, canary)
    acting = folder / "canary_when_imported.py"
    acting.write_text("import os, pathlib\npathlib.Path(os.environ['CANARY']).write_text('executed')\nname = 1\n")
    return cases
