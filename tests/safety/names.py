"""The tricks of scanners' advisories, as instructions: functions under names that no list had; each writes a canary.

What a scanner of pickles looks for is a list of names, so most of what has been published against them until 2026 is
names that were not on it; `spellings` has the others.
"""

from __future__ import annotations

import io
import marshal
import shlex
import struct
from importlib import import_module
from pathlib import Path

import torch

from tests import hostile


def text(value: str | Path) -> bytes:
    """The instruction that pushes a text."""
    content = str(value).encode()
    return b"X" + struct.pack("<I", len(content)) + content


def name(module: str, attribute: str) -> bytes:
    """The instruction that imports a name."""
    return f"c{module}\n{attribute}\n".encode()


def dotted(module: str, attribute: str) -> bytes:
    """The instructions that import a name with dots in it, from protocol 4 on."""
    return text(module) + text(attribute) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """The instructions that call what a function's own instructions leave."""
    return function + b"(" + b"".join(arguments) + b"tR"


def pushed(value: object) -> bytes:
    """The instructions that push a plain value."""
    return hostile.fragment(value)


def payloads(canary: Path) -> dict[str, bytes]:
    """Functions that run code or write files and are not called `system`; those that this Python lacks are left out."""
    made = {**_finding(canary), **_evaluating(canary), **_starting(canary), **_writing(canary), **_of_libraries(canary)}
    return {title: content for title, (needs, content) in made.items() if _is_there(needs)}


def shell_of(canary: Path) -> str:
    """The shell's command that makes the canary."""
    return f"touch {shlex.quote(str(canary))}"


def source_of(canary: Path) -> str:
    """The Python text that makes the canary."""
    return f"open({str(canary)!r}, 'w').write('executed')"


Made = dict[str, tuple[str, bytes]]


def _finding(canary: Path) -> Made:
    """What finds a function by a text, so that its name never stands where a scanner looks."""
    shell = text(shell_of(canary))
    the_os = call(name("importlib", "import_module"), text("os"))
    modules = name("sys", "modules")
    return {
        "importlib.import_module": (
            "importlib.import_module",
            call(call(name("builtins", "getattr"), the_os, text("system")), shell),
        ),
        "__import__": (
            "builtins.getattr",
            call(
                call(name("builtins", "getattr"), call(name("builtins", "__import__"), text("os")), text("system")),
                shell,
            ),
        ),
        "pkgutil.resolve_name (GHSA-vvpj-8cmc-gx39)": (
            "pkgutil.resolve_name",
            call(call(name("pkgutil", "resolve_name"), text("os:system")), shell),
        ),
        "operator.attrgetter (GHSA-955r-x9j8-7rhh)": (
            "operator.attrgetter",
            call(call(call(name("operator", "attrgetter"), text("system")), the_os), shell),
        ),
        "_operator.itemgetter (GHSA-955r-x9j8-7rhh)": (
            "_operator.itemgetter",
            call(
                call(
                    call(name("operator", "attrgetter"), text("system")),
                    call(call(name("_operator", "itemgetter"), text("os")), modules),
                ),
                shell,
            ),
        ),
        "operator.getitem of sys.modules": (
            "operator.getitem",
            call(
                call(
                    name("builtins", "getattr"), call(name("operator", "getitem"), modules, text("os")), text("system")
                ),
                shell,
            ),
        ),
        "functools.partial": (
            "functools.partial",
            call(call(name("functools", "partial"), name("os", "system"), shell)),
        ),
        "functools.reduce": (
            "functools.reduce",
            call(
                name("functools", "reduce"),
                name("builtins", "getattr"),
                b"](" + text("write_text") + b"e",
                call(name("pathlib", "Path"), text(canary)),
            )
            + b"("
            + text("executed")
            + b"tR",
        ),
        "logging.config": (
            "logging.config.dictConfig",
            call(
                name("logging.config", "dictConfig"),
                pushed({"version": 1, "formatters": {"a": {"()": "os.system", "command": shell_of(canary)}}}),
            ),
        ),
    }


def _evaluating(canary: Path) -> Made:
    """What takes source text or code and runs it."""
    source = text(source_of(canary))
    code = marshal.dumps(compile(source_of(canary), "canary", "exec"))
    loaded = call(name("marshal", "loads"), pushed(code))
    return {
        "map over eval": (
            "builtins.map",
            call(
                name("builtins", "bytes"),
                call(name("builtins", "map"), name("builtins", "eval"), b"](" + source + b"e"),
            ),
        ),
        "exec of marshal.loads": ("marshal.loads", call(name("builtins", "exec"), loaded)),
        "code.InteractiveInterpreter": (
            "code.InteractiveInterpreter",
            call(
                call(name("builtins", "getattr"), call(name("code", "InteractiveInterpreter")), text("runsource")),
                source,
            ),
        ),
        "bdb.Bdb.run": (
            "bdb.Bdb",
            call(call(name("builtins", "getattr"), call(name("bdb", "Bdb")), text("run")), source),
        ),
        "profile.Profile.runctx": (
            "profile.Profile",
            call(
                call(name("builtins", "getattr"), call(name("profile", "Profile")), text("runctx")),
                source,
                b"}",
                b"}",
            ),
        ),
        "cProfile.runctx": ("cProfile.runctx", call(name("cProfile", "runctx"), source, b"}", b"}")),
        "trace.Trace.run": (
            "trace.Trace",
            call(
                call(name("builtins", "getattr"), call(name("trace", "Trace"), b"K\x00K\x00"), text("runctx")),
                source,
            ),
        ),
        "pickle.loads by its C name": (
            "_pickle.loads",
            call(name("_pickle", "loads"), pushed(b"\x80\x04" + call(name("builtins", "exec"), source) + b".")),
        ),
        "a forward reference": (
            "typing.get_type_hints",
            call(
                name("typing", "get_type_hints"),
                call(name("types", "SimpleNamespace"))
                + b"}"
                + text("__annotations__")
                + b"}"
                + text("a")
                + text(source_of(canary) + " and int")
                + b"ssb",
            ),
        ),
    }


def _starting(canary: Path) -> Made:
    """What starts another program."""
    shell, words = text(shell_of(canary)), b"](" + text("touch") + text(canary) + b"e"
    return {
        "posix.system by STACK_GLOBAL": ("posix.system", call(dotted("posix", "system"), shell)),
        "subprocess.getoutput": ("subprocess.getoutput", call(name("subprocess", "getoutput"), shell)),
        "subprocess.Popen": (
            "subprocess.Popen",
            call(call(name("builtins", "getattr"), call(name("subprocess", "Popen"), words), text("wait"))),
        ),
        "os.spawnlp": ("os.spawnlp", call(name("os", "spawnlp"), b"K\x00", text("touch"), text("touch"), text(canary))),
        "os.posix_spawnp": (
            "os.posix_spawnp",
            call(name("os", "waitpid"), call(name("os", "posix_spawnp"), text("touch"), words, b"}"), b"K\x00"),
        ),
        "pty.spawn": ("pty.spawn", call(name("pty", "spawn"), words)),
        "webbrowser": (
            "webbrowser.GenericBrowser",
            call(
                call(
                    name("builtins", "getattr"),
                    call(name("webbrowser", "GenericBrowser"), b"](" + text("touch") + text("%s") + b"e"),
                    text("open"),
                ),
                text(canary),
            ),
        ),
        "ctypes": (
            "ctypes.CDLL",
            call(
                call(name("builtins", "getattr"), call(name("ctypes", "CDLL"), b"N"), text("system")),
                pushed(shell_of(canary).encode()),
            ),
        ),
        "pydoc.pipepager": (
            "pydoc.pipepager",
            call(name("pydoc", "pipepager"), text("x"), shell),
        ),
    }


def _writing(canary: Path) -> Made:
    """What writes a file and starts nothing."""
    return {
        "_io.FileIO": ("_io.FileIO", call(name("_io", "FileIO"), text(canary), text("w"))),
        "io.open": ("io.open", call(name("io", "open"), text(canary), text("w"))),
        "os.mknod": ("os.mknod", call(name("os", "mknod"), text(canary))),
        "os.symlink": ("os.symlink", call(name("os", "symlink"), text("/"), text(canary))),
        "shutil.copyfile": ("shutil.copyfile", call(name("shutil", "copyfile"), text(__file__), text(canary))),
        "tarfile.open": ("tarfile.open", call(name("tarfile", "open"), text(canary), text("w"))),
        "urllib.request.urlretrieve": (
            "urllib.request.urlretrieve",
            call(name("urllib.request", "urlretrieve"), text("data:,executed"), text(canary)),
        ),
        "pathlib.Path.touch unbound": (
            "pathlib.Path",
            call(dotted("pathlib", "Path.touch"), call(name("pathlib", "Path"), text(canary))),
        ),
    }


def _of_libraries(canary: Path) -> Made:
    """What NumPy and PyTorch bring along, which a list of harmless modules lets pass."""
    source, shell = text(source_of(canary)), text(shell_of(canary))
    saved = io.BytesIO()
    torch.save(hostile.Canary(canary), saved)
    return {
        "numpy.savetxt": ("numpy.savetxt", call(name("numpy", "savetxt"), text(canary), b"](K\x01e")),
        "numpy.memmap": (
            "numpy.memmap",
            call(name("numpy", "memmap"), text(canary), text("uint8"), text("w+"), b"K\x00", b"K\x01\x85"),
        ),
        "numpy.f2py.crackfortran.myeval": (
            "numpy.f2py.crackfortran.myeval",
            call(name("numpy.f2py.crackfortran", "myeval"), source, b"}", b"}"),
        ),
        "numpy.testing runstring": (
            "numpy.testing._private.utils.runstring",
            call(name("numpy.testing._private.utils", "runstring"), source, b"}"),
        ),
        "torch.save": ("torch.save", call(name("torch", "save"), b"}", text(canary))),
        "torch.load of another file": (
            "torch.load",
            _loading(saved.getvalue()),
        ),
        "torch.utils.collect_env.run": (
            "torch.utils.collect_env.run",
            call(name("torch.utils.collect_env", "run"), shell),
        ),
        "torch.jit.unsupported_tensor_ops.execWrapper": (
            "torch.jit.unsupported_tensor_ops.execWrapper",
            call(name("torch.jit.unsupported_tensor_ops", "execWrapper"), source, b"}", b"}"),
        ),
    }


def _loading(content: bytes) -> bytes:
    """`functools.partial(torch.load, weights_only=False)` of a file in memory."""
    keywords = b"}" + text("weights_only") + b"\x89s"
    partial = (
        call(name("functools", "partial"), name("torch", "load"))
        + b"("
        + name("torch", "load")
        + b")"
        + keywords
        + b"Ntb"
    )
    return call(partial, call(name("io", "BytesIO"), pushed(content)))


def _is_there(needed: str) -> bool:
    module, _, attribute = needed.rpartition(".")
    try:
        return hasattr(import_module(module), attribute)
    except ImportError:
        return False
