"""What a process that reads untrusted bytes gives up, so that code that takes it over reaches nothing.

Linux keeps it to that, without privileges: seccomp refuses sockets of every kind (those of the network, and
the local ones that daemons of this user listen on), to run programs, also those that it holds in memory
alone, and to type into the terminal, where a shell would run what is typed. Landlock refuses to look into
other processes, whose environment may hold tokens, and to write, make, rename or remove files anywhere, which
no reader needs; to cut one that is there, Linux lets it refuse since 6.2. Of root's privileges only those
over files stay: containers that lack the one to read have the one to read and write. All are system calls,
which Python's library does not have; they cost less than a millisecond.

Sources: linux/seccomp.h, linux/filter.h, linux/landlock.h (Linux 3.17 and 5.13), linux/capability.h.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _ALL_THREADS = 1, 2, 1
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_IO_URING_SETUP = 425  # it opens sockets by a way that seccomp does not see
_EXECUTE, _WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE = 1 << 0, 1 << 1, 1 << 4, 1 << 5  # LANDLOCK_ACCESS_FS_*
_MAKE = 0b1111111 << 6  # _CHAR, _DIR, _REG, _SOCK, _FIFO, _BLOCK, _SYM
_TRUNCATE, _TRUNCATE_SINCE = 1 << 14, 3  # version of Landlock
_LOAD, _IS_EQUAL, _IS_AT_LEAST, _RETURN = (
    0x20,
    0x15,
    0x35,
    0x06,
)  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ ...
_NUMBER_AT, _ARCHITECTURE_AT, _SECOND_ARGUMENT_AT = 0, 4, 24  # of struct seccomp_data
_TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_NOT_PERMITTED = _ERROR | 1  # EPERM
_OTHER_NUMBERS = 0x40000000  # from here on, x86-64 has calls of another convention
_CAPABILITIES_VERSION = 0x20080522
_FILES = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Calls(NamedTuple):
    """Numbers of system calls: AUDIT_ARCH_* and __NR_*."""

    architecture: int
    seccomp: int
    socket: int
    execve: int
    execveat: int
    ioctl: int


_CALLS = {
    "x86_64": _Calls(0xC000003E, 317, 41, 59, 322, 16),
    "aarch64": _Calls(0xC00000B7, 277, 198, 221, 281, 29),
}


def confine() -> tuple[bool, bool]:
    """Give up sockets and programs, and other processes and writing; returns which of both the system let us.

    What is open stays so. To be called before there is another thread, which Landlock would leave alone.
    """
    calls = _CALLS.get(platform.machine())
    if not sys.platform.startswith("linux") or calls is None or sys.maxsize < 1 << 32:
        return False, False
    library = _library()
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False, False
    has_no_processes = _drop_privileges(library) and _refuse_files_and_processes(library)
    return _refuse_calls(library, calls), has_no_processes


def can_confine() -> bool:
    """Whether this system has all that `confine` asks for, and no container refuses it."""
    calls = _CALLS.get(platform.machine())
    if not sys.platform.startswith("linux") or calls is None or sys.maxsize < 1 << 32:
        return False
    library = _library()
    action = ctypes.byref(ctypes.c_uint32(_ERROR))
    has_filters = library.syscall(ctypes.c_long(calls.seccomp), _SECCOMP_GET_ACTION_AVAIL, 0, action) == 0
    return _landlock_version(library) > 0 and has_filters


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def _drop_privileges(library: ctypes.CDLL) -> bool:
    """Keep none of root's but those over files: others lead past Landlock."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), 8)
    held = ctypes.create_string_buffer(24)
    if library.capget(header, held) != 0:
        return False
    effective, permitted, *_ = struct.unpack("=6I", held.raw)
    kept = struct.pack("=6I", effective & _FILES, permitted & _FILES, 0, 0, 0, 0)
    return bool(library.capset(header, ctypes.create_string_buffer(kept, 24)) == 0)


def _landlock_version(library: ctypes.CDLL) -> int:
    """0 or less where there is none."""
    number, no_size = ctypes.c_long(_LANDLOCK_CREATE_RULESET), ctypes.c_size_t(0)
    return int(library.syscall(number, None, no_size, _LANDLOCK_CREATE_RULESET_VERSION))


def _refuse_files_and_processes(library: ctypes.CDLL) -> bool:
    """What is handled and allowed nowhere is refused; who has rules sees no process without them."""
    refused = _EXECUTE | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE
    if _landlock_version(library) >= _TRUNCATE_SINCE:
        refused |= _TRUNCATE
    handled = ctypes.create_string_buffer(struct.pack("=Q", refused), 8)
    rules = library.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), handled, ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    return bool(library.syscall(ctypes.c_long(_LANDLOCK_RESTRICT_SELF), ctypes.c_int(rules), 0) == 0)


def _refuse_calls(library: ctypes.CDLL, calls: _Calls) -> bool:
    program = _filter(calls)
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(held)), struct.calcsize("@HP")
    )
    number = ctypes.c_long(calls.seccomp)
    return bool(library.syscall(number, _SECCOMP_SET_MODE_FILTER, _ALL_THREADS, described) == 0)


def _filter(calls: _Calls) -> bytes:
    """A program of classic BPF: code, steps ahead if true, steps ahead if not, value."""
    refused = (calls.socket, calls.execve, calls.execveat, _IO_URING_SETUP)
    last = 7 + len(refused) + len(_TYPING)  # the step that refuses
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IS_EQUAL, 0, last - 2, calls.architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IS_AT_LEAST, last - 4, 0, _OTHER_NUMBERS),
    ]
    steps += [(_IS_EQUAL, last - at, 0, number) for at, number in enumerate(refused, len(steps) + 1)]
    steps += [
        (_IS_EQUAL, 0, 1 + len(_TYPING), calls.ioctl),
        (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
    ]
    steps += [(_IS_EQUAL, last - at, 0, request) for at, request in enumerate(_TYPING, len(steps) + 1)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOT_PERMITTED)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
