"""Reading a pickle's instructions without obeying them.

A pickle is a program for a small machine that can import any name and call it. The machine here reads the same
instructions and has none for importing or calling: a name stays a `Named`, a call becomes a `Described`, and
what they would have done is never found out. What a description means is decided elsewhere, by a fixed table.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO

from spectral_doctor.checkpoints.pickle.descriptions import (
    DICT,
    PERSISTENT,
    SET,
    Described,
    MalformedPickle,
    Named,
    RefusedPickle,
    Stretch,
)
from spectral_doctor.checkpoints.pickle.instructions import (
    CONSTANTS,
    COUNTED,
    EMPTY,
    INSTRUCTIONS,
    OUTSIDE,
    SHORT_TUPLES,
    VALUES,
)

MOST_INSTRUCTIONS = 5_000_000
LONGEST_NAME = 500
LONGEST_BYTES = 1024


class Machine:
    """Follows one pickle after another in a stream; `names` are all the names that they mention.

    With `persistent`, a persistent id becomes a description as well; without, it is refused.
    """

    def __init__(self, *, persistent: bool = False) -> None:
        self.names: set[str] = set()
        self._persistent = persistent
        self._stack: list[object] = []
        self._marks: list[list[object]] = []
        self._memo: dict[int, object] = {}
        self._end: int | None = None

    def run(self, stream: IO[bytes], size: int | None = None) -> object:
        """Follow one pickle to its end, and return what it describes.

        `size` is where the stream ends; a text or a run of bytes that would reach beyond it is refused before it is
        read. Raises `MalformedPickle` or `RefusedPickle`.
        """
        self._stack, self._marks, self._memo = [], [], {}
        self._end = size
        try:
            for _ in range(MOST_INSTRUCTIONS):
                code = stream.read(1)
                if code == b".":
                    root, self._memo = self._pop(), {}
                    return root
                self._step(code, stream)
        except (IndexError, UnicodeError, OverflowError) as error:
            raise MalformedPickle("its instructions make no sense") from error
        except ValueError as error:
            if isinstance(error, MalformedPickle | RefusedPickle):
                raise
            raise MalformedPickle(str(error).splitlines()[0] if str(error) else "a value that is none") from error
        raise RefusedPickle(f"it has more than {MOST_INSTRUCTIONS} instructions")

    def _step(self, code: bytes, stream: IO[bytes]) -> None:
        known = INSTRUCTIONS.get(code)
        if known is None:
            raise MalformedPickle(
                f"an instruction {code!r} that is not known" if code else "it ends before it is complete"
            )
        name, reader = known
        if name in COUNTED:
            self._push(self._counted(name, stream))
            return
        argument = reader(stream) if reader is not None else None
        if name in VALUES:
            self._push(argument)
        elif name in CONSTANTS:
            self._push(CONSTANTS[name])
        elif name in SHORT_TUPLES:
            self._push(self._top(SHORT_TUPLES[name]))
        elif name in EMPTY:
            self._push(EMPTY[name]())
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._push(self._remembered(argument))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(self._memo) if name == "MEMOIZE" else argument
            assert isinstance(index, int)
            self._memo[index] = self._stack[-1]
        elif name in OUTSIDE:
            self._outside(name, argument)
        elif name not in ("PROTO", "FRAME"):
            _HANDLERS[name](self, argument)

    def _counted(self, name: str, stream: IO[bytes]) -> object:
        """A text, or bytes: those of some length are not read, only where they lie is kept."""
        width, is_text = COUNTED[name]
        prefix = stream.read(width)
        length = int.from_bytes(prefix, "little", signed=name == "BINSTRING")
        start = stream.tell()
        if len(prefix) < width or length < 0 or (self._end is not None and start + length > self._end):
            raise MalformedPickle("it ends before it is complete")
        if not is_text and length >= LONGEST_BYTES:
            stream.seek(length, io.SEEK_CUR)
            return Stretch(start, length)
        content = stream.read(length)
        if len(content) < length:
            raise MalformedPickle("it ends before it is complete")
        if is_text:
            return content.decode("latin-1") if "STRING" in name else content.decode("utf-8", "surrogatepass")
        return content

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _pop(self) -> object:
        return self._stack.pop()

    def _top(self, count: int) -> tuple[object, ...]:
        if len(self._stack) < count:
            raise MalformedPickle("its instructions make no sense")
        values = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        return values

    def _since_mark(self) -> list[object]:
        values, self._stack = self._stack, self._marks.pop()
        return values

    def _remembered(self, index: object) -> object:
        if index not in self._memo:
            raise MalformedPickle("it refers to a value that it never remembered")
        assert isinstance(index, int)
        return self._memo[index]

    def _outside(self, name: str, argument: object) -> None:
        if not (self._persistent and name in ("PERSID", "BINPERSID")):
            raise RefusedPickle(f"it refers to something outside the file, by {OUTSIDE[name]}")
        self._push(Described(PERSISTENT, (self._pop() if name == "BINPERSID" else argument,)))

    def _named(self, module: object, name: object) -> Named:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise MalformedPickle("a name that is not text")
        if len(module) + len(name) > LONGEST_NAME:
            raise RefusedPickle(f"it holds a name of more than {LONGEST_NAME} characters")
        named = Named(module, name)
        self.names.add(str(named))
        return named

    # What the handlers below do is all that a pickle can make happen.

    def mark(self, _: object) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def pop_mark(self, _: object) -> None:
        self._since_mark()

    def duplicate(self, _: object) -> None:
        self._push(self._stack[-1])

    def list_of(self, _: object) -> None:
        self._push(self._since_mark())

    def tuple_of(self, _: object) -> None:
        self._push(tuple(self._since_mark()))

    def frozen_set(self, _: object) -> None:
        self._push(Described(SET, entries=self._since_mark()))

    def dict_of(self, _: object) -> None:
        self._push(Described(DICT, pairs=_pairs(self._since_mark())))

    def append(self, _: object) -> None:
        (value,) = self._top(1)
        self._extend([value])

    def append_all(self, _: object) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Described):
            target.entries.extend(values)
        else:
            raise MalformedPickle("it puts entries into what holds none")

    def set_item(self, _: object) -> None:
        self._set(list(self._top(2)))

    def set_all(self, _: object) -> None:
        self._set(self._since_mark())

    def _set(self, values: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, Described):
            raise MalformedPickle("it puts keys into what holds none")
        target.pairs.extend(_pairs(values))

    def name_at_once(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._push(self._named(module, name))

    def name_from_stack(self, _: object) -> None:
        module, name = self._top(2)
        self._push(self._named(module, name))

    def call(self, _: object) -> None:
        maker, arguments = self._top(2)
        self._describe(maker, arguments)

    def call_with_keywords(self, _: object) -> None:
        maker, arguments, _keywords = self._top(3)
        self._describe(maker, arguments)

    def call_since_mark(self, _: object) -> None:
        maker, *arguments = self._since_mark()
        self._describe(maker, tuple(arguments))

    def call_named(self, argument: object) -> None:
        arguments = tuple(self._since_mark())
        module, _, name = str(argument).partition(" ")
        self._describe(self._named(module, name), arguments)

    def _describe(self, maker: object, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise MalformedPickle("a call whose arguments are no tuple")
        self._push(Described(maker, arguments))

    def build(self, _: object) -> None:
        target, state = self._top(2)
        if isinstance(target, Named):
            raise RefusedPickle(f"it changes '{target}' itself")
        if not isinstance(target, Described):
            raise MalformedPickle("it gives a state to what has none")
        target.state = state
        self._push(target)


def _pairs(values: list[object]) -> list[tuple[object, object]]:
    if len(values) % 2:
        raise MalformedPickle("a key without its value")
    return list(zip(values[::2], values[1::2], strict=True))


_HANDLERS: dict[str, Callable[[Machine, object], None]] = {
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "LIST": Machine.list_of,
    "TUPLE": Machine.tuple_of,
    "FROZENSET": Machine.frozen_set,
    "DICT": Machine.dict_of,
    "APPEND": Machine.append,
    "APPENDS": Machine.append_all,
    "ADDITEMS": Machine.append_all,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_all,
    "GLOBAL": Machine.name_at_once,
    "STACK_GLOBAL": Machine.name_from_stack,
    "REDUCE": Machine.call,
    "NEWOBJ": Machine.call,
    "NEWOBJ_EX": Machine.call_with_keywords,
    "OBJ": Machine.call_since_mark,
    "INST": Machine.call_named,
    "BUILD": Machine.build,
}
