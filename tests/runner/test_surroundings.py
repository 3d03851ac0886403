"""What a trial may rely on: each setting is put back, each patch noticed, and what cannot be undone is said."""

import _thread
import contextlib
import copyreg
import ctypes
import decimal
import faulthandler
import fcntl
import gc
import io
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

import zslbench.metrics
import zslbench.protocol
import zslbench.records
from zslbench.errors import InputError
from zslbench.runner import originals, surroundings
from zslbench.runner.descriptors import Descriptors
from zslbench.runner.settings import SETTINGS
from zslbench.runner.surroundings import Traces, importing, undisturbed
from zslbench_methods.eszsl import ESZSL


def _do(*statements):
    """Several calls as one."""
    return lambda: [statement() for statement in statements]


def _lower(which):
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (min(4096, hard) if hard != resource.RLIM_INFINITY else 4096, hard))


_DOWN = 0x400 if os.uname().machine == "x86_64" else 0x400000
CHANGES = {
    "the working folder": lambda: os.chdir("/"),
    "the environment": os.environ.clear,
    "the umask": lambda: os.umask(0o123),
    "sys.path": sys.path.clear,
    "sys.meta_path": sys.meta_path.clear,
    "sys.path_hooks": sys.path_hooks.clear,
    "gc.callbacks": lambda: gc.callbacks.append(lambda *_: None),
    "sys.argv": lambda: sys.argv.append("--more"),
    "sys.stdin": lambda: setattr(sys, "stdin", None),
    "sys.stdout": lambda: setattr(sys, "stdout", None),
    "sys.stderr": lambda: setattr(sys, "stderr", None),
    "sys.exit": lambda: setattr(sys, "exit", print),
    "sys.executable": lambda: setattr(sys, "executable", "/bin/false"),
    "sys.excepthook": lambda: setattr(sys, "excepthook", print),
    "sys.unraisablehook": lambda: setattr(sys, "unraisablehook", print),
    "sys.displayhook": lambda: setattr(sys, "displayhook", print),
    "sys.breakpointhook": lambda: setattr(sys, "breakpointhook", print),
    "sys.dont_write_bytecode": lambda: setattr(sys, "dont_write_bytecode", not sys.dont_write_bytecode),
    "threading.excepthook": lambda: setattr(threading, "excepthook", print),
    "tempfile.tempdir": lambda: setattr(tempfile, "tempdir", "/nowhere"),
    "sys.settrace": lambda: sys.settrace(lambda *_: None),
    "sys.setprofile": lambda: sys.setprofile(lambda *_: None),
    "the recursion limit": lambda: sys.setrecursionlimit(12_345),
    "the switch interval": lambda: sys.setswitchinterval(0.5),
    "the longest integer": lambda: sys.set_int_max_str_digits(700),
    "copyreg.dispatch_table": lambda: copyreg.pickle(np.ndarray, len),
    "the stack size of threads": lambda: threading.stack_size(1 << 20),
    "garbage collection": gc.disable,
    "garbage collection's thresholds": lambda: gc.set_threshold(12_345),
    "garbage collection's debugging": lambda: gc.set_debug(gc.DEBUG_UNCOLLECTABLE),
    "the locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C"),
    "the filters of warnings": lambda: warnings.simplefilter("error"),
    "the root logger": lambda: logging.getLogger().addHandler(logging.NullHandler()),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    "the handler of SIGCHLD": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}),
    "timers": lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 1000),
    "resource limits": lambda: _lower(resource.RLIMIT_NPROC),
    "the priority": lambda: None,  # it cannot be put back by everybody
    "the decimal context": lambda: setattr(decimal.getcontext(), "prec", 3),
    "the time limit of sockets": lambda: socket.setdefaulttimeout(3),
    "how processes are started": lambda: multiprocessing.set_start_method("forkserver", force=True),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "numpy.seterrcall": lambda: np.seterrcall(print),
    "numpy.setbufsize": lambda: np.setbufsize(16_000),
    "numpy.set_printoptions": lambda: np.set_printoptions(precision=2),
    "how floats are rounded": lambda: ctypes.CDLL(None).fesetround(
        0x400 if os.uname().machine == "x86_64" else 0x400000
    ),
    "the cores": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
}
"""Setting -> how a method might change it."""


def values(settings):
    return {setting.name: setting.read() for setting in settings}


def test_every_setting_is_tried_here():
    """A setting that is added to the table is added to the test."""
    assert {setting.name for setting in SETTINGS} == set(CHANGES)


@pytest.fixture(autouse=True)
def as_it_is():
    """What earlier tests have patched and set back is no trial's doing."""
    originals.accept()


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_is_put_back(name):
    """After a trial it is as it was, and the trial is said to have changed it, unless libraries do so too."""
    (setting,) = (setting for setting in SETTINGS if setting.name == name)
    before = values(SETTINGS)
    with undisturbed("", 0) as traces:
        CHANGES[name]()
        changed = setting.read() != before[name]
    assert values(SETTINGS) == before
    assert traces == [Traces((name,) if changed and not setting.quiet else ())]
    assert changed or name in ("the priority", "the cores", "the locale")  # one core, one locale


TORCH = {
    "torch.set_default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch.set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "torch.inference_mode": lambda: KEPT.append(torch.autograd.grad_mode._enter_inference_mode(True)),
    "torch.autograd.set_detect_anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "torch.set_default_device or a TorchFunctionMode": lambda: torch.set_default_device("meta"),
    "a TorchDispatchMode": lambda: Dispatching().__enter__(),
    "torch.set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.use_deterministic_algorithms": lambda: torch.use_deterministic_algorithms(True),
    "torch.autocast": lambda: KEPT.append(torch.autocast("cpu", dtype=torch.bfloat16).__enter__()),
    "torch.set_printoptions": lambda: torch.set_printoptions(precision=2),
    "torch.distributions.Distribution.set_default_validate_args":
        lambda: torch.distributions.Distribution.set_default_validate_args(False),
    "torch.nn.modules.module._global_forward_hooks":
        lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: None),
    "torch.optim.optimizer._global_optimizer_pre_hooks":
        lambda: sys.modules["torch.optim.optimizer"].register_optimizer_step_pre_hook(lambda *_: None),
    "torch.autograd.graph.saved_tensors_hooks":
        lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: t / 2, lambda t: t).__enter__(),
    "torch.autograd.forward_ad": torch.autograd.forward_ad.enter_dual_level,
    "torch.backends.cuda.enable_flash_sdp": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "torch.backends.mha.set_fastpath_enabled": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "torch.sparse.check_sparse_tensor_invariants": torch.sparse.check_sparse_tensor_invariants.enable,
    "torch.__future__": lambda: torch.__future__.set_swap_module_params_on_conversion(True),
    "torch mkldnn enabled": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "torch cudnn allow tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "torch warnAlways": lambda: torch.set_warn_always(True),
}  # fmt: skip
KEPT: list[object] = []


class Dispatching(torch.utils._python_dispatch.TorchDispatchMode):
    """Intercepts operations."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _replaced_kernel():
    library = torch.library.Library("aten", "IMPL")
    library.impl("mse_loss", lambda *_: torch.zeros(()), "CPU")
    return library


GUARDED = {
    "torch.library": _replaced_kernel,
    "torch.autograd.profiler": torch.autograd.profiler.profile,
}


@pytest.mark.parametrize("name", GUARDED)
def test_a_setting_of_torch_that_lasts_is_said(name):
    """What holds until somebody lets go of it, such as an operation of torch that was replaced, costs the process."""
    with undisturbed("", 0) as traces:
        held = GUARDED[name]()
        if hasattr(held, "__enter__"):
            held.__enter__()
    if hasattr(held, "__exit__"):
        held.__exit__(None, None, None)
    else:
        held._destroy()
    assert traces == [Traces((), (f"{name} changed",))]


@pytest.mark.parametrize("name", TORCH)
def test_a_setting_of_torch_is_put_back(name):
    """The same for torch's, by the usual ways to change them."""
    before = values(surroundings._torch.values())
    with undisturbed("", 0) as traces:
        TORCH[name]()
        assert surroundings._torch[name].read() != before[name]
    assert values(surroundings._torch.values()) == before
    assert name in traces[0].restored
    assert not traces[0].lasting
    KEPT.clear()
    assert values(surroundings._torch.values()) == before


def test_every_switch_of_torch_is_put_back():
    """Whatever torch can tell and set in one word comes back, whether it is named here or not."""
    settings = [setting for setting in surroundings._torch.values() if setting.write.__name__ != "stay"]
    switches = [setting for setting in settings if isinstance(setting.read(), bool)]
    assert len(switches) > 15
    before = values(surroundings._torch.values())
    with undisturbed("", 0) as traces, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for setting in switches:
            if setting.name != "torch.inference_mode":
                with contextlib.suppress(RuntimeError):  # what this machine cannot do
                    setting.write(not setting.read())
    assert values(surroundings._torch.values()) == before
    assert len(traces[0].restored) >= len(switches) - 3  # some cannot be changed on this machine


def test_modes_of_a_caller_stay():
    """A program's own settings hold again after a trial, which itself begins as torch begins."""
    torch.set_default_dtype(torch.float64)
    try:
        with undisturbed("", 0) as traces:
            assert torch.get_default_dtype() is torch.float32
        assert torch.get_default_dtype() is torch.float64
        assert traces == [Traces()]
    finally:
        torch.set_default_dtype(torch.float32)


def test_denormal_numbers_are_kept():
    """torch.set_flush_denormal, which cannot be read from torch, is put back."""
    with undisturbed("", 0) as traces:
        assert torch.set_flush_denormal(True)
        assert np.float32(1e-39) * np.float32(1) == 0
    assert np.float32(1e-39) * np.float32(1) > 0
    assert traces == [Traces(("how floats are rounded",))]


def test_global_generators_are_seeded_and_put_back():
    """A method that draws from everybody's random numbers gets the same ones in each run of a trial, and moves none."""

    def draw():
        return random.random(), np.random.random(), float(torch.rand(1))  # noqa: NPY002

    drawn = []
    for seed in (1, 1, 2):
        draw()
        with undisturbed("", seed) as traces:
            drawn.append(draw())
        assert traces == [Traces()]
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])
    states = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    with undisturbed("", 1):
        draw()
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == states  # noqa: NPY002


PATCHES = {
    "numpy.argmax": lambda: setattr(np, "argmax", np.argmin),
    "numpy.linalg._linalg.norm": lambda: setattr(np.linalg._linalg, "norm", len),
    "numpy.pi": lambda: setattr(np, "pi", 3),
    "builtins.sorted": lambda: setattr(__import__("builtins"), "sorted", list),
    "time.perf_counter": lambda: setattr(time, "perf_counter", lambda: 0),
    "zslbench.metrics.harmonic_mean": lambda: setattr(zslbench.metrics, "harmonic_mean", max),
    "zslbench.protocol.PROTOCOL_VERSION": lambda: setattr(zslbench.protocol, "PROTOCOL_VERSION", 0),
    "zslbench.records.store.Store.append": lambda: setattr(zslbench.records.Store, "append", print),
    "torch.optim.adam.Adam.step": lambda: setattr(torch.optim.Adam, "step", torch.optim.SGD.step),
    "torch.nn.modules.linear.Linear.forward": lambda: setattr(torch.nn.Linear, "forward", torch.nn.Identity.forward),
    "torch.nn.functional.relu": lambda: setattr(torch.nn.functional, "relu", torch.nn.functional.gelu),
    "torch.matmul": lambda: setattr(torch, "matmul", torch.mul),
    "torch.nn.modules.module.Module.__call__": lambda: setattr(torch.nn.Module, "__call__", lambda *_: None),
    "scipy.linalg._basic.solve": lambda: setattr(sys.modules["scipy.linalg._basic"], "solve", len),
    "torch.optim": lambda: setattr(torch, "optim", torch.nn),
    "torch.distributions.normal.Normal.rsample": lambda: setattr(torch.distributions.Normal, "rsample", len),
    "torch.utils.data.dataloader.DataLoader.__iter__": lambda: setattr(torch.utils.data.DataLoader, "__iter__", len),
    "sys.modules['torch']": lambda: sys.modules.update(torch=np),
    "subprocess.Popen": lambda: setattr(subprocess, "Popen", len),
    "builtins.__import__": lambda: setattr(__import__("builtins"), "__import__", len),
    "zslbench.protocol.float": lambda: setattr(zslbench.protocol, "float", lambda _: 1.0),
    "torch.optim.adam.Adam.zero_grad": lambda: setattr(torch.optim.Adam, "zero_grad", len),
    "torch.nn.modules.linear.Linear.__call__": lambda: setattr(torch.nn.Linear, "__call__", len),
    "zslbench_methods.eszsl.ESZSL.Config.__init__": lambda: setattr(ESZSL.Config, "__init__", len),
}
"""What is replaced -> how."""


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_is_noticed_and_undone(name):
    """It is named; where trials are measured with what was replaced, that is said too."""

    originals.accept()
    with undisturbed("", 0) as traces:
        PATCHES[name]()
    measuring = not name.startswith(("torch", "scipy", "sys"))
    assert traces == [Traces((), (f"{name} changed",), (name,) if measuring else ())]
    with undisturbed("", 0) as traces:
        pass
    assert traces == [Traces()]
    assert scipy.linalg.solve is sys.modules["scipy.linalg._basic"].solve


INSIDE = {
    "numpy.linalg.norm": (np.linalg.norm.__wrapped__, (1, None, False)),
    "numpy.mean": (np.mean.__wrapped__, (0,)),
    "zslbench.metrics.GzslDecisions.from_scores": (zslbench.metrics.GzslDecisions.from_scores.__func__, (None,)),
    "zslbench.metrics.SeenUnseenCurve.area": (zslbench.metrics.SeenUnseenCurve.area.fget, (None,)),
    "zslbench.protocol._peak_memory": (zslbench.protocol._peak_memory.__wrapped__, ("cpu",)),
}
"""Function -> what does its work behind a dispatcher, a descriptor or a wrapper, and other defaults for that."""


@pytest.mark.parametrize("name", INSIDE)
def test_a_patch_behind_a_wrapper_is_noticed(name):
    """The function that does the work is looked at, wherever it is kept."""
    function, others = INSIDE[name]
    before = function.__defaults__
    originals.accept()
    with undisturbed("", 0) as traces:
        function.__defaults__ = others
    assert function.__defaults__ is before
    assert [found.rpartition(".")[2] for found in traces[0].tampered[:1]] == [name.rpartition(".")[2]]


def test_a_patch_inside_a_function_is_noticed():
    """One that changes the code or the defaults of a function and leaves the function where it is."""
    metrics = zslbench.metrics
    originals.accept()
    before = metrics.harmonic_mean(0.2, 0.4), metrics.harmonic_mean.__code__
    with undisturbed("", 0) as traces:
        metrics.harmonic_mean.__code__ = (lambda seen, unseen: 1.0).__code__
        assert metrics.harmonic_mean(0.2, 0.4) == 1
    assert traces[0].tampered == ("zslbench.metrics.harmonic_mean",)
    assert (metrics.harmonic_mean(0.2, 0.4), metrics.harmonic_mean.__code__) == before


def test_what_libraries_do_to_themselves_is_no_patch():
    """torch wraps the step of an optimizer when the first one is made, and lazy modules add names."""

    class Fresh(torch.optim.SGD):
        pass

    with undisturbed("", 0) as traces:
        layer = torch.nn.Linear(2, 2)
        for make in (torch.optim.Adam, torch.optim.Adagrad, Fresh):
            optimizer = make(layer.parameters(), lr=0.1)
            layer(torch.ones(1, 2)).sum().backward()
            optimizer.step()
        np.core_is_lazy = True
    del np.core_is_lazy
    assert traces == [Traces()]


def test_threads_and_children_are_not_left():
    """A thread that goes on is said; a child is killed and said; those that end in time are nobody's business."""
    over = threading.Event()
    with undisturbed("", 0) as traces:
        threading.Thread(target=over.wait, daemon=True).start()
    over.set()
    assert traces == [Traces((), ("a running thread",))]
    with undisturbed("", 0) as traces:
        child = subprocess.Popen(["sleep", "300"])
    assert traces == [Traces((), ("a running process",))]
    over.clear()
    running = threading.Event()
    with undisturbed("", 0) as traces:
        _thread.start_new_thread(lambda: (running.set(), over.wait()), ())  # which `threading` knows nothing of
        running.wait()
    over.set()
    assert traces == [Traces((), ("a running thread",))]
    assert child.wait(timeout=10) != 0 or child.returncode is not None
    with undisturbed("", 0) as traces:
        threading.Thread(target=time.sleep, args=(0.05,)).start()
        subprocess.run(["true"], check=True)
    assert traces == [Traces()]


def test_what_ends_late_changes_nothing_for_others():
    """A thread that ends in time, garbage that acts when it is collected, and a watchdog: the next trial is its own."""

    class Garbage:
        def __init__(self):
            self.itself = self

        def __del__(self):
            np.seterr(all="raise")

    def late():
        time.sleep(0.1)
        torch.set_default_dtype(torch.float64)

    gc.disable()
    try:
        with undisturbed("", 0) as traces:
            Garbage()
            threading.Thread(target=late).start()
            faulthandler.dump_traceback_later(0.5, exit=True, file=sys.__stderr__)
    finally:
        gc.enable()
    assert traces == [Traces(("numpy.seterr", "torch.set_default_dtype"))]
    time.sleep(0.6)


def test_another_global_generator_of_numpy_is_taken_back():
    """A method may put a generator of another kind in its place."""
    before = np.random.get_bit_generator()
    with undisturbed("", 0) as traces:
        np.random.set_bit_generator(np.random.PCG64(0))
    assert np.random.get_bit_generator() is before
    assert traces == [Traces()]


@pytest.mark.parametrize("which", ["low", "many", "all", "elsewhere"])
def test_closed_files_are_opened_again(tmp_path, which):
    """Descriptors that a trial closes, or makes lead elsewhere, are as before; a lock that they hold is held."""
    with open(tmp_path / "locked", "w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        with undisturbed("", 0) as traces:
            if which == "low":
                os.close(locked.fileno())
            elif which == "many":
                os.closerange(locked.fileno(), 4096)
            elif which == "all":
                os.closerange(locked.fileno(), 1 << 20)
            else:
                with open(os.devnull) as nothing:
                    os.dup2(nothing.fileno(), locked.fileno())
        assert traces == [Traces(("open files",))]
        locked.write("here")
        locked.flush()
        assert (tmp_path / "locked").read_text() == "here"
        with open(tmp_path / "locked") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_files_of_others_are_no_method_s_doing(tmp_path, monkeypatch):
    """Garbage of before that is collected while a trial is prepared, and what another thread reads of processes."""

    class Garbage:
        def __init__(self):
            self.itself, self.file = self, io.FileIO(tmp_path / "kept", "w")

    def prepared():
        found = Descriptors()
        gc.collect()
        return found

    monkeypatch.setattr(surroundings, "Descriptors", prepared)
    Garbage()
    reading = io.FileIO("/proc/self/stat")
    with surroundings.undisturbed_alone("", 0) as traces:
        reading.close()
    assert traces == [Traces()]
    gc.collect()


def test_a_patch_of_the_program_that_is_over_is_no_method_s_doing(monkeypatch):
    """What was patched during a series, by a test say, is as it was when a trial by itself begins, and stays so."""
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: None)
    originals.accept()  # as a series does at its beginning
    monkeypatch.undo()
    with surroundings.undisturbed_alone("", 0) as traces:
        pass
    assert traces == [Traces()]
    assert os.fsync is real


def test_what_cannot_be_put_back_is_said():
    """A hard limit that was lowered stays lowered for all but root, and then no other trial may run there."""
    code = (
        "import os, resource as r\nfrom zslbench.runner.surroundings import undisturbed\n"
        "with undisturbed('', 0) as traces: r.setrlimit(r.RLIMIT_NOFILE, (64, 64))\n"
        "print(traces[0].restored or traces[0].lasting)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("('resource limits',)", "('resource limits changed',)")


def test_what_an_import_sets_holds_for_its_own_trials_alone():
    """Number type, environment and search path of a plugin are there in its trials and nowhere else."""
    dtype, folder = torch.get_default_dtype(), os.getcwd()
    with importing("plugin of a test", "it"):
        torch.set_default_dtype(torch.float64)
        os.environ["OF_A_PLUGIN"] = "1"
        sys.path.insert(0, "/of/a/plugin")
        os.chdir("/")

    def found():
        return torch.get_default_dtype(), os.environ.get("OF_A_PLUGIN"), "/of/a/plugin" in sys.path, os.getcwd()

    outside = dtype, None, False, folder
    assert found() == outside
    with undisturbed("plugin of a test", 0) as traces:
        assert found() == (torch.float64, "1", True, "/")
    assert traces == [Traces()]
    assert found() == outside
    with undisturbed("another", 0):
        assert found() == outside
    surroundings._imported.pop("plugin of a test")


def test_an_import_that_replaces_what_is_measured_with_is_refused():
    """One line names the plugin and what it replaced, which is as before."""
    before = np.argmax
    said = r"plugin p.py replaces numpy.argmax, which trials are measured with"
    with pytest.raises(InputError, match=said), importing("p", "plugin p.py"):
        np.argmax = np.argmin
    assert np.argmax is before
    with contextlib.suppress(KeyError):
        surroundings._imported.pop("p")


def test_torch_begins_as_torch_begins_wherever_it_is_first_imported():
    """A trial that loads torch and changes it leaves the next one torch's own beginning, and its seed."""
    code = (
        "from zslbench.runner.surroundings import undisturbed\nfound = []\n"
        "for seed in (1, 1):\n"
        "    with undisturbed('', seed) as traces:\n"
        "        import torch\n"
        "        found.append((torch.get_default_dtype(), torch.is_grad_enabled(), float(torch.rand(1))))\n"
        "        torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)\n"
        "    assert traces[0].restored == ('torch.set_default_dtype', 'torch.set_grad_enabled')\n"
        "assert found[0] == found[1], found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_how_torch_begins_is_known_where_it_was_loaded_before():
    """What is documented is what a fresh torch tells, so a program that has changed it first does not matter."""
    code = (
        "import sys, torch\nif len(sys.argv) > 1:\n    torch.set_default_dtype(torch.float64)\n"
        "    torch.set_grad_enabled(False)\n    torch.set_default_device('meta')\n"
        "    torch.set_float32_matmul_precision('medium')\n"
        "from zslbench.runner import surroundings\nfrom zslbench.runner.torch_settings import documented\n"
        "print(sorted(documented(torch).items()))\n"
        "with surroundings.undisturbed('', 0):\n"
        "    print(sorted((name, setting.read()) for name, setting in surroundings._torch.items()\n"
        "                 if name in documented(torch)))\n"
        "print(torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled())\n"
    )
    for changed, after in (([], "torch.float32 cpu True"), (["changed"], "torch.float64 meta False")):
        done = subprocess.run([sys.executable, "-c", code, *changed], capture_output=True, text=True, check=True)
        said, found, afterwards = done.stdout.splitlines()
        assert said == found
        assert afterwards == after


PATCHED_METHODS = {
    "ESZSL.info": "ESZSL.info = dataclasses.replace(ESZSL.info, version=7)",
    "ESZSL.Config.__init__": "ESZSL.Config.__init__.__defaults__ = (9.0, 9.0)",
    "ESZSL.fit": "ESZSL.fit = lambda self, train: None",
}


@pytest.mark.parametrize("name", PATCHED_METHODS)
def test_a_plugin_that_changes_a_built_in_method_is_refused(tmp_path, name):
    """Even where nobody had imported that method before: what a table says of it is what it is."""
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"import dataclasses\nfrom zslbench_methods.eszsl import ESZSL\n{PATCHED_METHODS[name]}\n")
    code = (
        "from zslbench.plugins import import_plugin\nfrom zslbench.errors import InputError\n"
        f"try: import_plugin({str(plugin)!r})\nexcept InputError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True).stdout
    assert f"it replaces zslbench_methods.eszsl.{name}, which trials are measured with" in said
