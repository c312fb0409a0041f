# SPDX-License-Identifier: GPL-2.0
"""Usage: python_capture.py CHECK

Checks python/mp3.py against the module, for python.sh. Fails with a traceback.
"""

import errno
import mmap
import os
import resource
import sys
import time

import mp3

PAGES = 1000


def touch():
    """Fault on PAGES new pages. Return their memory."""
    memory = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)
    for page in range(PAGES):
        memory[page * mmap.PAGESIZE] = 1
    return memory


def fault_count():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def faults_of(records):
    return sum(record.min_flt + record.maj_flt for record in records)


def fails(kind, number, words, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        assert error.errno == number and words in str(error), error
        return
    raise AssertionError("no error")


def counts():
    with mp3.Capture() as capture:
        before = fault_count()
        capture.register()
        memory = touch()
        capture.unregister()
        most = fault_count() - before
        records = list(capture.records(identities=True))
        assert isinstance(records[0], mp3.Identity), records
        assert (records[0].pid, records[0].ppid) == (os.getpid(), os.getppid())
        assert records[0].uid == os.getuid()
        assert records[1].flags & mp3.FIRST and records[-1].flags & mp3.LAST
        assert PAGES <= faults_of(records[1:]) <= most, (faults_of(records[1:]), most)
        assert capture.lost == 0 and capture.header.processes == 0
        memory.close()


def follows():
    with mp3.Capture() as capture:
        capture.follow()
        children = []
        for _ in range(3):
            children.append(os.fork())
            if not children[-1]:
                touch()
                os._exit(0)
        for child in children:
            os.waitpid(child, 0)
        capture.unregister()
        # The last records of the children are published at the next tick.
        records = []
        while capture.header.processes:
            assert capture.wait(60)
        records = list(capture.records(identities=True))
        for child in children:
            own = [record for record in records if record.pid == child]
            assert own[0].ppid == os.getpid() and own[-1].flags & mp3.LAST
            assert faults_of(own[1:]) >= PAGES


def waits():
    with mp3.Capture() as capture:
        assert not capture.wait(0)
        capture.register()
        seen = []
        start = time.monotonic()
        while len(seen) < 3:
            touch().close()
            assert capture.wait(60)
            seen += capture.records()
        assert time.monotonic() > start and faults_of(seen) > 0


def locates():
    with open("mapped", "wb") as file:
        file.write(b"x" * mmap.PAGESIZE)
    with mp3.Capture() as capture:
        capture.locate(1, 8)
        capture.register()
        memory = touch()
        with open("mapped", "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            assert mapped[0] == ord("x")
        capture.unregister()
        # A path is known some milliseconds after the first fault in its file.
        numbers = {}
        faults = list(capture.faults())
        end = time.monotonic() + 60
        while os.path.abspath("mapped") not in numbers.values():
            assert time.monotonic() < end, numbers
            numbers = {fault.file: capture.name(fault.file) for fault in faults}
        touched = [fault for fault in faults
                   if fault.kind == "first-touch" and fault.file == mp3.NO_FILE and
                   fault.access == "write" and fault.is_user]
        addresses = sorted({fault.address for fault in touched})
        # One run of pages, each after the other
        runs = sum(1 for one, two in zip(addresses, addresses[1:])
                   if two - one == mmap.PAGESIZE)
        assert runs >= PAGES - 1, runs
        assert all(fault.pid == os.getpid() and fault.frames for fault in touched)
        assert all(fault.stall_ns is None or fault.stall_ns > 0 for fault in touched)
        assert capture.lost_faults == 0
        header = capture.header
        assert header.located == capture.faults_header.head == len(faults)
        assert header.counted >= header.located
        memory.close()
        mapped.close()


def errors():
    with mp3.Capture() as capture:
        capture.register()
        fails(FileExistsError, errno.EEXIST, "Already registered", capture.register)
        fails(ProcessLookupError, errno.ESRCH, "it has exited", capture.register, 4000000)
        fails(OSError, errno.EINVAL, "kernel threads", capture.register, 2)
        fails(OSError, errno.EINVAL, "power of two", capture.locate, 3)
        fails(OSError, errno.EPROTO, "Not an mp3 ring", mp3.Samples, mp3.RECORDS_PATH)


def denied():
    captures = [mp3.Capture() for _ in range(8)]
    fails(OSError, errno.EMFILE, "Too many captures", mp3.Capture)
    fails(PermissionError, errno.EPERM, "ptrace read access", captures[0].register, 1)
    fails(PermissionError, errno.EPERM, "user_faults=1", captures[0].locate)
    fails(PermissionError, errno.EACCES, "only root", mp3.Records)
    for capture in captures:
        capture.close()
    mp3.Capture().close()


def classic():
    with mp3.Records() as records, mp3.Samples() as samples:
        list(records.records())
        list(samples.samples())
        mp3.register()
        assert mp3.registered() == [os.getpid()]
        memory = touch()
        mp3.unregister()
        assert mp3.registered() == []
        own = list(records.records())
        sums = list(samples.samples())
        assert faults_of(own) == sum(s.min_flt + s.maj_flt for s in sums) >= PAGES
        # The time of a sample has the precision of a clock tick.
        tick = 10**9 // records.header.hz
        assert abs(samples.time_ns(sums[-1]) - own[-1].time_ns) <= 2 * tick
        memory.close()


globals()[sys.argv[1]]()
