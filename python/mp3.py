# SPDX-License-Identifier: GPL-2.0 OR MIT
"""mp3, a page-fault profiler: captures, rings and recordings, for Python 3.9 and later.

This file is the whole module. It needs nothing but the standard library.

A capture registers processes for this program alone, and needs no privilege for its
user's own processes:

    import mp3

    with mp3.Capture() as capture:
        capture.register()                      # this process
        ...                                     # the code to profile
        capture.unregister()
        print(sum(record.min_flt for record in capture.records()))

A recording is what "mp3ctl record" and "mp3ctl where -o" have written:

    with mp3.Recording("mp3.data") as recording:
        print(recording.info["command"])
        for fault in recording.faults():
            print(fault.time_ns, fault.kind, recording.name(fault.file))

Records, faults and the other entries are named tuples: pandas.DataFrame(list(records))
has a column for each field. Whatever fails raises OSError, with a text that names the
likely cause.

Names and paths come from processes: they can contain any character, escape sequences
included. Print them with repr().

Memory order. The module publishes an entry before it advances the head of its ring, and
this reader loads the head, copies entries, and loads the head again to find out which
of them may have been overwritten during the copy. That is correct if the machine
performs these loads in the order of the program:

- A load of a word is one load instruction, since memoryview copies an aligned word of 8
  bytes as a whole.
- The compiler cannot reorder the loads: each is in a call of its own.
- x86-64 and s390x perform loads in the order of the program.
- Other machines may not. There, a fence is between the loads: that of libatomic, a
  library of gcc's. Without it, a lock is taken and released twice, which these
  machines do not promise to be enough. What protects the reader then is distance:
  some thousand instructions of the interpreter are between two loads, and no machine
  reorders as many.
"""

import ctypes
import errno
import mmap
import os
import platform
import re
import select
import stat
import struct
import threading
from typing import NamedTuple, Tuple

__all__ = ["Capture", "Records", "Samples", "Recording", "Record", "Identity",
           "Sample", "Fault", "File", "Header", "Symbol", "Totals", "register", "follow",
           "unregister", "registered"]

STATUS_PATH = "/proc/mp3/status"
SAMPLES_PATH = "/dev/mp3"
RECORDS_PATH = "/dev/mp3_procs"
CAPTURE_PATH = "/dev/mp3_capture"

MAGIC = 0x0033504D
ABI_VERSION = 2

FIRST = 1           # flags of a record: the first one since the registration
LAST = 2            # the process has exited, or was unregistered
IDENTITY = 4        # an identity record

NO_FILE = 0                     # number of a file: anonymous memory
UNKNOWN_FILE = 0xFFFFFFFF       # unknown
FILES = 1024                    # entries of a table of files

_OFF_HEADER = 0x10000000
_OFF_FAULTS = 0x20000000
_OFF_FAULTS_HEADER = 0x30000000
_OFF_FILES = 0x38000000

_EMPTY = _BUSY = _NO_STALL = (1 << 64) - 1
_HEAD = 2           # words of 8 bytes in a header
_TICKS = 4
_BATCH = 4096       # entries that are copied at once

# Layouts, to be preceded by the byte order
_RECORD = "QIIQQQQ16s"
_IDENTITY = "QIIIIQQQ16s"
_FAULT = "QQIIQQQII9Q"
_FILE = "IIQQQ224s"
_HEADER = "4I8Q2I3Q"
_TOTALS = "9Q2I"


class Header(NamedTuple):
    """The state of a ring and of the sampler; see mp3(4)."""
    magic: int
    version: int
    entry_size: int
    capacity: int
    head: int
    interval_ns: int
    ticks: int
    missed: int
    cost_ns: int
    dropped: int
    base_ns: int
    base_jiffies: int
    hz: int
    processes: int
    denied: int
    counted: int
    located: int


class Record(NamedTuple):
    """What one process did in one interval."""
    time_ns: int
    pid: int
    flags: int
    min_flt: int
    maj_flt: int
    cpu_ns: int
    rss_bytes: int
    comm: str


class Identity(NamedTuple):
    """What a process can be identified by; it precedes the first record of it."""
    time_ns: int
    pid: int
    flags: int
    ppid: int
    uid: int
    start_ns: int
    cgroup_id: int
    comm: str


class Sample(NamedTuple):
    """What all processes of the status file did in one interval."""
    jiffies: int
    min_flt: int
    maj_flt: int
    cpu_percent: int


class File(NamedTuple):
    """A file that faults and frames refer to by its number."""
    number: int
    device: int
    inode: int
    generation: int
    path: str
    is_truncated: bool


class Symbol(NamedTuple):
    """The function and the source line of a code address; "" and 0 if unknown."""
    function: str
    source: str
    line: int


class Totals(NamedTuple):
    """What the headers of a recorded capture contained at the end."""
    end_ns: int
    counted: int
    located: int
    sampled_out: int
    not_written: int
    lost_faults: int
    lost_records: int
    dropped: int
    denied: int
    running: int
    is_complete: bool       # profiling has ended
    is_closed: bool         # each process ran and exited while it was registered


class Fault(NamedTuple):
    """One page fault.

    stall_ns is None if it is unknown. file is the number of a file, NO_FILE for
    anonymous memory or UNKNOWN_FILE. frames are pairs of the number of a file and an
    offset in it: the instruction, and its callers.
    """
    time_ns: int
    pid: int
    tid: int
    address: int
    stall_ns: int
    offset: int
    file: int
    flags: int
    frames: Tuple[Tuple[int, int], ...]

    @property
    def is_major(self):
        """The fault needed I/O."""
        return bool(self.flags & 0x001)

    @property
    def is_user(self):
        """The program has accessed the memory, not the kernel for it."""
        return bool(self.flags & 0x008)

    @property
    def is_shared(self):
        """The mapping is shared."""
        return bool(self.flags & 0x040)

    @property
    def is_heap(self):
        return bool(self.flags & 0x080)

    @property
    def is_stack(self):
        return bool(self.flags & 0x100)

    @property
    def access(self):
        """What the program did: "read", "write", "execute" or "unknown"."""
        if not self.flags & 0x010:
            return "unknown"
        if self.flags & 0x002:
            return "write"
        return "execute" if self.flags & 0x004 else "read"

    @property
    def kind(self):
        """What the kernel did, in the words of mp3ctl where --csv."""
        if self.flags & 0x010 and self.flags & 0x020:   # the page was present
            if self.access != "write":
                return "hint"
            return "clean" if self.is_shared else "copy"
        if self.is_major:
            return "swap-in" if self.file == NO_FILE else "disk"
        if self.access == "unknown":
            return "unknown"
        if self.file == NO_FILE:
            return "first-touch"
        return "copy" if self.access == "write" and not self.is_shared else "page-cache"


# ---- Errors ----

_CAUSES = {
    errno.ENOENT: "No such file or directory (is the module loaded?)",
    errno.ENXIO: "No such device (is the module loaded?)",
    errno.ENODEV: "No such device node, but the module is loaded (run mp3ctl doctor)",
    errno.EACCES: "Permission denied (only root, or users that root has allowed)",
    errno.EPERM: "Operation not permitted (needs ptrace read access, or CAP_PERFMON)",
    errno.EINVAL: "Invalid argument (kernel threads cannot be profiled)",
    errno.ESRCH: "No such process (it has exited, or is not registered)",
    errno.EEXIST: "Already registered",
    errno.EMFILE: "Too many captures of this user (8), or too many open files",
    errno.EBUSY: "No capture is left (of 63; 16 are reserved for CAP_PERFMON)",
    errno.EPROTO: "Not an mp3 ring or recording, or one of another type or version",
}


def _error(number, path, cause=None):
    """Return an OSError, or the subclass that fits its number."""
    return OSError(number, cause or _CAUSES.get(number) or os.strerror(number), path)


def _open(path, flags):
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        number = error.errno
        if number in (errno.ENOENT, errno.ENXIO) and os.access(STATUS_PATH, os.F_OK):
            number = errno.ENODEV
        raise _error(number, path) from None


def _command(fd, path, letter, pid):
    try:
        os.write(fd, b"%s,%d\n" % (letter, os.getpid() if pid is None else pid))
    except OSError as error:
        raise _error(error.errno, path) from None


# ---- Memory order ----

def _make_fence():
    """Return a function that keeps the loads before it before those after it."""
    if platform.machine() in ("x86_64", "s390x"):
        return lambda: None
    try:
        fence = ctypes.CDLL("libatomic.so.1").atomic_thread_fence
        fence.argtypes, fence.restype = [ctypes.c_int], None
        return lambda: fence(2)         # memory_order_acquire
    except (OSError, AttributeError):
        pass
    lock = threading.Lock()

    def take_twice():
        with lock:
            pass
        with lock:
            pass
    return take_twice


_fence = _make_fence()


# ---- Entries ----

def _text(data):
    return os.fsdecode(data.split(b"\0", 1)[0])


def _decode_record(order, data):
    """Return a Record or an Identity."""
    flags = struct.unpack_from(order + "I", data, 12)[0]
    if flags & IDENTITY:
        *fields, _reserved, comm = struct.unpack(order + _IDENTITY, data)
        return Identity(*fields, _text(comm))
    *fields, comm = struct.unpack(order + _RECORD, data)
    return Record(*fields, _text(comm))


def _decode_fault(order, data):
    """Return a Fault, or None if it has more frames than there is room for."""
    fields = struct.unpack(order + _FAULT, data)
    _seq, time_ns, pid, tid, address, stall_ns, offset, file, flags = fields[:9]
    count = flags >> 28
    if count > len(fields) - 9:
        return None
    frames = tuple((frame >> 48, frame & 0xFFFFFFFFFFFF) for frame in fields[9:9 + count])
    return Fault(time_ns, pid, tid, address, None if stall_ns == _NO_STALL else stall_ns,
                 offset, file, flags, frames)


def _decode_file(order, data):
    number, flags, device, inode, generation, path = struct.unpack(order + _FILE, data)
    return File(number, device, inode, generation, _text(path), bool(flags & 1))


# ---- Rings ----

class _Map:
    """A read-only mapping: bytes, and aligned words of 8 bytes."""

    def __init__(self, fd, size, offset):
        page = mmap.PAGESIZE
        self.bytes = mmap.mmap(fd, (size + page - 1) // page * page, flags=mmap.MAP_SHARED,
                               prot=mmap.PROT_READ, offset=offset)
        self.words = memoryview(self.bytes).cast("Q")

    def close(self):
        self.words.release()
        self.bytes.close()


class _Ring:
    """A ring of entries that one writer publishes in order.

    next is the number of the next entry to read, and lost how many were overwritten
    before they were read.
    """

    def __init__(self, path, flags, entry_size):
        self._maps = []
        self._entry_size = entry_size
        self.path = path
        self.lost = 0
        self._fd = _open(path, flags)
        try:
            self._check_type()
            self._header = self._map(mmap.PAGESIZE, _OFF_HEADER)
            header = self.header
            if (header.magic != MAGIC or header.version != ABI_VERSION or
                    header.entry_size != entry_size or header.capacity < 3 or
                    not header.hz):
                raise _error(errno.EPROTO, path)
            self.capacity = header.capacity
            self._data = self._map(self.capacity * entry_size, 0)
        except BaseException:
            self.close()
            raise
        self.next = self._oldest(self._header.words[_HEAD])

    def _check_type(self):
        """Refuse what cannot be a ring: reading its mapping could raise SIGBUS."""
        info = os.fstat(self._fd)
        is_ring = (stat.S_ISCHR(info.st_mode) and os.major(info.st_rdev) != 1 or
                   stat.S_ISREG(info.st_mode) and
                   info.st_size >= _OFF_HEADER + mmap.PAGESIZE)
        if not is_ring:
            raise _error(errno.EPROTO, self.path)

    def _map(self, size, offset):
        try:
            mapping = _Map(self._fd, size, offset)
        except ValueError:              # larger than the file
            raise _error(errno.EPROTO, self.path) from None
        except OSError as error:
            raise _error(errno.EPROTO if error.errno == errno.ENODEV else error.errno,
                         self.path, None if error.errno != errno.EINVAL else
                         "Invalid argument (the capture has not located yet)") from None
        self._maps.append(mapping)
        return mapping

    @property
    def header(self):
        """The header as it is now."""
        size = struct.calcsize("=" + _HEADER)
        return Header(*struct.unpack("=" + _HEADER, self._header.bytes[:size]))

    def _oldest(self, head):
        """Return the oldest entry that the writer cannot be overwriting."""
        return max(head + 2 - self.capacity, 0)

    def _copy(self):
        """Return copies of entries from next on, or [] if there is none yet.

        Entries that were lost are counted and skipped. Those that another reader has
        consumed are None.
        """
        while True:
            # Pairs with the release store of the head in the module.
            head = self._header.words[_HEAD]
            _fence()
            size = self._entry_size
            slot = self.next % self.capacity
            count = min(head - self.next, self.capacity - slot, _BATCH)
            if count <= 0:
                return []
            data = self._data.bytes[slot * size:(slot + count) * size]
            _fence()
            # A consumer clears the first word first, so it has to be loaded last.
            firsts = self._data.words[slot * size // 8:(slot + count) * size // 8:size // 8]
            firsts = firsts.tolist()
            _fence()
            # Pairs with the barrier before an overwrite in the module.
            oldest = self._oldest(self._header.words[_HEAD])
            overwritten = max(oldest - self.next, 0)
            self.lost += overwritten
            self.next += overwritten
            if overwritten < count:
                return [None if firsts[i] == _EMPTY else data[i * size:(i + 1) * size]
                        for i in range(overwritten, count)]

    def _entries(self):
        """Generate the entries that are published and have not been read."""
        while True:
            batch = self._copy()
            if not batch:
                return
            for entry in batch:
                # One by one, since the caller can stop after any.
                self.next += 1
                if entry is not None:
                    yield entry

    def wait(self, timeout=None):
        """Sleep until an entry is published, or for timeout seconds.

        Return whether one was published since the last call that returned True.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(timeout, 0) * 1000))

    def fileno(self):
        return self._fd

    def close(self):
        """Close the ring. Does nothing if it is closed."""
        for mapping in self._maps:
            mapping.close()
        self._maps.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Records(_Ring):
    """The ring of records of the processes in the status file."""

    def __init__(self, path=RECORDS_PATH):
        super().__init__(path, os.O_RDONLY, struct.calcsize("=" + _RECORD))

    def records(self, identities=False):
        """Generate the records that were published and have not been read.

        With identities, generate an Identity before the first record of each process.
        """
        for entry in self._entries():
            record = _decode_record("=", entry)
            if identities or not record.flags & IDENTITY:
                yield record


class Samples(_Ring):
    """The ring of samples. Nothing is consumed."""

    def __init__(self, path=SAMPLES_PATH):
        super().__init__(path, os.O_RDONLY, struct.calcsize("=4Q"))

    def samples(self):
        """Generate the samples that were published and have not been read."""
        for entry in self._entries():
            yield Sample(*struct.unpack("=4Q", entry))

    def time_ns(self, sample):
        """Return when a sample was taken, on the clock of records."""
        header = self.header
        ticks = (sample.jiffies - header.base_jiffies) & _EMPTY
        return header.base_ns + ticks * 10**9 // header.hz


class Capture(Records):
    """Registrations that last until close(), and a private ring of their records.

    Without an argument, the methods register and unregister this process. The id of any
    thread names its process.
    """

    def __init__(self, path=CAPTURE_PATH):
        self._faults = None
        _Ring.__init__(self, path, os.O_RDWR, struct.calcsize("=" + _RECORD))

    def register(self, pid=None):
        """Profile a process from now on."""
        _command(self._fd, self.path, b"R", pid)

    def follow(self, pid=None):
        """Profile a process and all its descendants from now on."""
        _command(self._fd, self.path, b"F", pid)

    def unregister(self, pid=None):
        """Stop profiling a process. Its last record is in the ring then."""
        _command(self._fd, self.path, b"U", pid)

    def locate(self, n=1, callers=0):
        """Locate one minor fault in n, a power of two, and all major ones; 0: stop.

        Needs CAP_PERFMON, unless the module's parameter user_faults is set.
        """
        try:
            os.write(self._fd, b"L,%d,%d\n" % (n, callers))
        except OSError as error:
            causes = {errno.EPERM: "Operation not permitted (locating needs CAP_PERFMON, "
                                   "or the module's user_faults=1)",
                      errno.EINVAL: "Invalid argument (n is a power of two up to 65536, "
                                    "and there are up to 8 callers)",
                      errno.EOPNOTSUPP: "This kernel cannot locate faults"}
            raise _error(error.errno, self.path, causes.get(error.errno)) from None
        if self._faults is None and n:
            self._faults = _Faults(self)

    def faults(self):
        """Generate the faults that were located and have not been read."""
        return self._faults.faults() if self._faults else iter(())

    @property
    def lost_faults(self):
        """How many faults were overwritten before they were read, or not written."""
        return self._faults.lost if self._faults else 0

    @property
    def faults_header(self):
        """The header of the ring of faults, or None before locate()."""
        return self._faults.header if self._faults else None

    def file(self, number):
        """Return a File, or None if it has no number or its path is not known yet."""
        return self._faults.file(number) if self._faults else None

    def name(self, number):
        """Return the path of a file, or a name for memory without one."""
        return _name(self.file(number), number)


class _Faults:
    """The located faults of a capture: many CPUs write them, so each has a number."""

    def __init__(self, capture):
        self._header = capture._map(mmap.PAGESIZE, _OFF_FAULTS_HEADER)
        header = self.header
        self._size = struct.calcsize("=" + _FAULT)
        if (header.magic != MAGIC or header.version != ABI_VERSION or
                header.entry_size != self._size or not header.capacity):
            raise _error(errno.EPROTO, capture.path)
        self.capacity = header.capacity
        self._data = capture._map(self.capacity * self._size, _OFF_FAULTS)
        self._files = capture._map(FILES * struct.calcsize("=" + _FILE), _OFF_FILES)
        self.next = 0
        self.lost = 0
        self._awaited = None        # ticks when fault next was first found unfinished

    @property
    def header(self):
        size = struct.calcsize("=" + _HEADER)
        return Header(*struct.unpack("=" + _HEADER, self._header.bytes[:size]))

    def _gave_up(self):
        """Return whether an unfinished fault stays so."""
        header = self.header
        _fence()
        if not header.processes:
            return True
        if self._awaited is None:
            self._awaited = header.ticks
        return header.ticks - self._awaited >= 2

    def _skip(self, count):
        self.lost += count
        self.next += count
        self._awaited = None

    def faults(self):
        words = self._data.words
        while True:
            # Pairs with the release store of the head in the module.
            head = self._header.words[_HEAD]
            _fence()
            self._skip_overwritten(head)
            if self.next >= head:
                return
            slot = self.next % self.capacity
            first = slot * self._size // 8
            # The number of a fault that is complete, before and after the copy
            seq = words[first]
            if seq == self.next + 1:
                _fence()
                data = self._data.bytes[slot * self._size:(slot + 1) * self._size]
                _fence()
                seq = words[first]
                if seq == self.next + 1:
                    self.next += 1
                    self._awaited = None
                    fault = _decode_fault("=", data)
                    if fault:
                        yield fault
                    continue
            # Unless it has been overwritten, it is being written.
            if seq <= self.next or seq == _BUSY:
                if not self._gave_up():
                    return
                _fence()
                # It may have been completed since it was looked at.
                if words[first] == self.next + 1:
                    continue
            self._skip(1)

    def _skip_overwritten(self, head):
        if self.next + self.capacity < head:
            self._skip(head - self.capacity - self.next)

    def file(self, number):
        if not 1 <= number <= FILES:
            return None
        size = struct.calcsize("=" + _FILE)
        start = (number - 1) * size
        # Pairs with the release store of the number in the module: it is the last.
        complete = struct.unpack_from("=I", self._files.bytes, start)[0] == number
        _fence()
        return (_decode_file("=", self._files.bytes[start:start + size])
                if complete else None)


def _name(file, number):
    if file:
        return file.path
    return "[anon]" if number == NO_FILE else "[unknown]"


# ---- The status file ----

def _status(letter, pid):
    fd = _open(STATUS_PATH, os.O_WRONLY)
    try:
        _command(fd, STATUS_PATH, letter, pid)
    finally:
        os.close(fd)


def register(pid=None):
    """Register a process, by default this one, in the status file."""
    _status(b"R", pid)


def follow(pid=None):
    """Register a process and all its descendants in the status file."""
    _status(b"F", pid)


def unregister(pid=None):
    """Unregister a process in the status file."""
    _status(b"U", pid)


def registered():
    """Return the process ids in the status file that the caller may profile."""
    fd = _open(STATUS_PATH, os.O_RDONLY)
    with open(fd, encoding="ascii") as file:
        return [int(line) for line in file]


# ---- Recordings ----

_INFO, _RECORDS, _FAULTS, _FILES, _TOTALS_CHUNK, _SYMBOLS, _NAMES = range(1, 8)


def _unescape(text):
    """Return the text that a recording contains as printable ASCII."""
    data = re.sub(rb"\\(\\|x[0-9a-f]{2})",
                  lambda match: b"\\" if match[1] == b"\\" else
                  bytes([int(match[1][1:], 16)]), text.encode("ascii"))
    return os.fsdecode(data)


class Recording:
    """A recording, of a machine of either byte order.

    info is a dictionary, in which all values are text. files has each File by its
    number, symbols each Symbol by the number of a file and the offset in it. totals is
    None if there are none. ignored is the size of an incomplete end, in bytes.
    """

    def __init__(self, path):
        self.path = path
        self.info, self.files, self.symbols = {}, {}, {}
        self.users, self.cgroups = {}, {}
        self.totals = None
        self.ignored = 0
        self._chunks = []
        self._file = open(path, "rb")
        try:
            self._read_header()
            self._find_chunks()
            self._read_tables()
        except BaseException:
            self.close()
            raise

    def _refuse(self, cause):
        raise OSError(errno.EPROTO, cause, self.path)

    def _read(self, size):
        data = self._file.read(size)
        if len(data) < size:
            self._refuse("became shorter while it was read")
        return data

    def _read_header(self):
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._refuse("not a regular file")
        header = self._file.read(16)
        orders = {b"\4\3\2\1": "<", b"\1\2\3\4": ">"}
        if len(header) < 16 or header[:8] != b"MP3REC\r\n":
            self._refuse("not a recording of mp3ctl")
        self._order = orders.get(header[8:12])
        if self._order is None:
            self._refuse("broken recording (before byte 16)")
        version = struct.unpack(self._order + "I", header[12:])[0]
        if version != 1:
            self._refuse(f"has version {version}, this program reads version 1")

    def _find_chunks(self):
        size = os.fstat(self._file.fileno()).st_size
        at = 16
        while at < size:
            self.ignored = size - at
            if self.ignored < 16:
                return
            self._file.seek(at)
            kind, reserved, length = struct.unpack(self._order + "IIQ", self._read(16))
            if not kind or reserved or not length:
                self._refuse(f"broken recording (before byte {at + 16})")
            end = at + 16 + (length + 7) // 8 * 8
            if end > size:
                return
            self._chunks.append((kind, at + 16, length))
            at = end
            self.ignored = 0

    def _read_tables(self):
        """Read everything but records and faults."""
        for kind, at, length in self._chunks:
            if kind in (_INFO, _SYMBOLS, _NAMES):
                self._file.seek(at)
                self._read_text(kind, at, self._read(length))
            elif kind == _TOTALS_CHUNK:
                self._file.seek(at)
                size = struct.calcsize("=" + _TOTALS)
                data = self._read(min(length, size)).ljust(size, b"\0")
                *fields, flags = struct.unpack(self._order + _TOTALS, data)
                self.totals = Totals(*fields, bool(flags & 1), bool(flags & 2))
        for file in self._elements(_FILES, _FILE, _decode_file):
            if not 1 <= file.number <= FILES:
                self._refuse(f"broken recording (a file has number {file.number})")
            self.files[file.number] = file

    def _read_text(self, kind, at, data):
        broken = f"broken recording (before byte {at + len(data)})"
        if not re.fullmatch(rb"[ -~\t\n]*\n", data):
            self._refuse(broken)
        for line in data.decode("ascii").split("\n")[:-1]:
            fields = line.split("\t")
            try:
                if kind == _INFO:
                    key, value = line.split("=", 1)
                    self.info[key] = _unescape(value)
                elif kind == _SYMBOLS:
                    file, offset, function, source, number = fields
                    self.symbols[int(file), int(offset, 16)] = Symbol(
                        _unescape(function), _unescape(source), int(number))
                else:
                    kind_of_name, number, name = fields
                    names = {"user": self.users, "cgroup": self.cgroups}
                    names.get(kind_of_name, {})[int(number)] = _unescape(name)
            except ValueError:
                self._refuse(broken)

    def _elements(self, kind, layout, decode):
        """Generate the elements of all chunks of a kind."""
        size = struct.calcsize("=" + layout)
        for found, at, length in self._chunks:
            if found != kind:
                continue
            if length % size:
                self._refuse(f"broken recording (before byte {at})")
            while length:
                self._file.seek(at)
                data = self._read(min(length, _BATCH * size))
                for start in range(0, len(data), size):
                    element = decode(self._order, data[start:start + size])
                    if element is None:
                        self._refuse(f"broken recording (before byte {at + start + size})")
                    yield element
                at += len(data)
                length -= len(data)

    def records(self, identities=False):
        """Generate the records; with identities, also each Identity."""
        for record in self._elements(_RECORDS, _RECORD, _decode_record):
            if identities or not record.flags & IDENTITY:
                yield record

    def faults(self):
        """Generate the located faults."""
        return self._elements(_FAULTS, _FAULT, _decode_fault)

    def file(self, number):
        """Return a File, or None if it is unknown."""
        return self.files.get(number)

    def name(self, number):
        """Return the path of a file, or a name for memory without one."""
        return _name(self.file(number), number)

    def symbol(self, frame, is_caller=False):
        """Return the Symbol of a frame, or None if it was not recorded.

        A caller is a return address, which is looked up one byte before.
        """
        file, offset = frame
        return self.symbols.get((file, offset - 1 if is_caller else offset))

    def function(self, frame, is_caller=False):
        """Return the name of the function of a frame, or of the file and an offset."""
        symbol = self.symbol(frame, is_caller)
        if symbol and symbol.function:
            return symbol.function
        file, offset = frame
        return f"{os.path.basename(self.name(file))}+{offset:#x}" if file else f"{offset:#x}"

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
