"""Event loops, threads and processes that begin and end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import athena
import pytest
from athena.emulator import Namespace
from conftest import Run


def test_one_client_in_several_loops(athena_emulator: Namespace, dot: bytes) -> None:
    client = athena_emulator.client()

    async def work() -> int:
        await client.classify(dot)
        return len([o async for o in client.classify_all([dot] * 20)])

    assert asyncio.run(work()) == asyncio.run(work()) == 20
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(asyncio.run(work()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [20] * 4


def test_uvloop(athena_emulator: Namespace, dot: bytes) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def work() -> int:
        client = athena_emulator.client()
        await asyncio.gather(*(client.classify(dot) for _ in range(50)))
        return len([o async for o in client.classify_all([dot] * 50)])

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(work()) == 50
    finally:
        loop.close()


def test_a_loop_that_is_closed_in_mid_stream(athena_emulator: Namespace, dot: bytes) -> None:
    athena_emulator.add_rule(correlation_id="*-1?", silent=True)
    client = athena_emulator.client()

    async def begin() -> object:
        stream = client.classify_all([dot] * 100)
        await stream.__anext__()
        return stream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(begin())
    loop.close()
    del stream
    # What is left of the stream disturbs nobody.
    assert asyncio.run(client.classify(dot)).weights


def test_a_fork_is_told_and_a_new_client_works(run: Run) -> None:
    done = run(
        """
        import os, sys, athena, athena.blocking
        dot = b"P6 2 1 255 abcdef"
        client = athena.blocking.Client.from_env()
        session = client.session()
        client.classify(dot), session.classify(dot)
        child = os.fork()
        if child == 0:
            for call in (client.classify, session.classify):
                try:
                    call(dot)
                except athena.ForkError as error:
                    print("child:", type(error).__name__, flush=True)
            del client, session
            print("child:", athena.blocking.Client.from_env().classify(dot).pcsam, flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("parent:", client.classify(dot).pcsam)
        """
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["child: ForkError"] * 2
    assert lines[2].split()[1] == lines[3].split()[1]


def test_a_fork_in_mid_stream_leaves_the_child_its_memory(run: Run) -> None:
    done = run(
        """
        import itertools, os, signal, threading, athena, athena.blocking, athena.imaging
        picture = b"P6 448 448 255 " + os.urandom(448 * 448 * 3)
        client = athena.blocking.Client.from_env()
        ended, begun = False, threading.Event()
        def stream():
            images = itertools.takewhile(lambda _: not ended, itertools.repeat(picture))
            for outcome in client.classify_all(images):
                assert outcome.error is None
                begun.set()
        thread = threading.Thread(target=stream)
        thread.start()
        begun.wait()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                size = len(athena.imaging.prepare(picture).data)
                os._exit(0 if size > 500_000 else 1)
            assert os.waitpid(child, 0)[1] == 0
        ended = True
        thread.join()
        print("all well")
        """
    )
    assert done.stdout == "all well\n"


def test_a_subinterpreter_is_told_that_it_cannot(run: Run) -> None:
    done = run(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        program = "try:\\n import athena\\nexcept ImportError as error:\\n print(error)"
        interpreter = interpreters.create()
        interpreters.run_string(interpreter, program)
        interpreters.destroy(interpreter)
        """
    )
    assert "subinterpreters" in done.stdout or sys.version_info < (3, 12), done.stderr


def test_submodules_are_there_without_an_import_of_their_own(run: Run) -> None:
    program = "import athena; print(athena.imaging.hashes(b'').md5[:4], athena.blocking.Client)"
    assert run(program).stdout == "d41d <class 'athena.blocking.Client'>\n"
    assert "no attribute 'nothing'" in run("import athena; athena.nothing", check=False).stderr


def test_the_interpreter_ends_with_work_under_way(run: Run, athena_emulator: Namespace) -> None:
    athena_emulator.add_rule(silent=True)
    done = run(
        """
        import asyncio, athena, athena.blocking, threading
        dot = b"P6 2 1 255 abcdef"
        client = athena.Client.from_env()
        loop = asyncio.new_event_loop()
        stream = client.classify_all([dot] * 500)
        tasks = [loop.create_task(client.classify(dot)) for _ in range(20)]
        tasks.append(loop.create_task(stream.__anext__()))
        loop.run_until_complete(asyncio.sleep(0.2))
        waiting = athena.blocking.Client.from_env()
        threading.Thread(target=waiting.classify, args=(dot,), daemon=True).start()
        session = waiting.session()
        session.submit(dot)
        def hang():
            threading.Event().wait()
        slow = athena.blocking.Client.from_env(token_source=hang)
        threading.Thread(target=slow.classify, args=(dot,), daemon=True).start()
        print("end")
        """
    )
    assert done.stdout == "end\n"


def test_no_thread_outlives_the_work_of_an_exit(run: Run) -> None:
    done = run(
        """
        import atexit, os
        # Runs last, after the package has ended its threads.
        atexit.register(lambda: print(len(os.listdir("/proc/self/task"))))
        import athena.blocking
        athena.blocking.Client.from_env().classify(b"P6 2 1 255 abcdef")
        """
    )
    if sys.platform == "linux":
        assert done.stdout == "1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_ctrl_c(athena_emulator: Namespace, kind: str) -> None:
    athena_emulator.add_rule(silent=True)
    program = """if True:
        import asyncio, signal, sys, athena, athena.blocking
        # As at a terminal: what a shell starts in the background is born with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        dot = b"P6 2 1 255 abcdef"
        try:
            if sys.argv[1] == "blocking":
                athena.blocking.Client.from_env().classify(dot)
            else:
                asyncio.run(athena.Client.from_env().classify(dot))
        except KeyboardInterrupt:
            print("interrupted")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program, kind],
        env=os.environ | athena_emulator.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    athena_emulator.expect(1, within=30)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == "interrupted\n" and process.returncode == 0


def test_spawned_workers(run: Run) -> None:
    done = run(
        """
        import concurrent.futures, multiprocessing, athena.blocking
        client = None
        def start():
            global client
            client = athena.blocking.Client.from_env()
        def work(data):
            return client.classify(data)
        if multiprocessing.current_process().name == "MainProcess":
            context = multiprocessing.get_context("fork")
            athena.blocking.Client.from_env().ready()
            with concurrent.futures.ProcessPoolExecutor(2, context, initializer=start) as pool:
                verdicts = list(pool.map(work, [b"P6 2 1 255 abcdef"] * 8))
            print(len({v.correlation_id for v in verdicts}), verdicts[0].provenance.format)
        """
    )
    assert done.stdout == "8 ppm\n"


def test_memory_and_references_stay_flat(athena_emulator: Namespace, light: athena.Image) -> None:
    """A small version of benchmarks/soak.py: what a stream leaves behind does not grow with it."""
    import gc

    client = athena_emulator.blocking_client()

    def objects_after(images: int) -> int:
        for _ in client.classify_all(light for _ in range(images)):
            pass
        gc.collect()
        return len(gc.get_objects())

    objects_after(300)
    few = objects_after(300)
    assert objects_after(3000) - few < 300


def test_times_are_seconds_or_timedeltas() -> None:
    from datetime import timedelta

    athena.Client(timeout=1, connect_timeout=timedelta(seconds=2), ping=(60, 20.0))
    with pytest.raises(ValueError, match="seconds"):
        athena.Client(timeout=-1.0)
