"""Methods that leave something behind, for tests: in `fit`, in a scorer, or when their file is imported."""

from pathlib import Path

_MODE = """
class Halving(__import__("torch").overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        return found / 2 if func in (torch.nn.functional.linear, torch.Tensor.matmul) else found
"""

IN_FIT = {
    "dtype": "import torch; torch.set_default_dtype(torch.float64)",
    "no_grad": "import torch; torch.set_grad_enabled(False)",
    "inference": "import torch; sys.kept = torch.inference_mode(); sys.kept.__enter__()",
    "device": "import torch; torch.set_default_device('meta')",
    "function_mode": "import torch; exec(MODE, globals()); Halving().__enter__()",
    "precision": "import torch; torch.set_float32_matmul_precision('medium')",
    "new_precision": "import torch; torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "denormals": "import torch; torch.set_flush_denormal(True)",
    "deterministic": "import torch; torch.use_deterministic_algorithms(True); torch.autograd.set_detect_anomaly(True)",
    "autocast": "import torch; torch.autocast('cpu', dtype=torch.bfloat16).__enter__()",
    "hooks": "import torch; torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o / 2)",
    "adam": "import torch; torch.optim.Adam.step = lambda self, closure=None: None",
    "linear": "import torch; torch.nn.Linear.forward = lambda self, x: x * 0",
    "code": "import torch; torch.nn.Linear.forward.__code__ = (lambda self, input: input * 0).__code__",
    "numpy_patch": "np.argmax = np.argmin; np.linalg.solve = lambda a, b: b",
    "harness": "import zslbench.metrics, zslbench.protocol\n"
               "zslbench.protocol.per_class_accuracies = lambda t, p, c: np.ones(len(c))",
    "seeds": "import random; random.seed(0); np.random.seed(0)",
    "errors": "np.seterr(all='raise'); import warnings; warnings.simplefilter('error')",
    "limits": "import resource as r; [r.setrlimit(k, (v, v)) for k, v in ((r.RLIMIT_CORE, 0), (r.RLIMIT_NOFILE, 90))]",
    "soft_limit": "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (0, r.getrlimit(r.RLIMIT_FSIZE)[1]))",
    "closes": "os.closerange(0, 3)",
    "house": "os.chdir('/'); os.umask(0o777); os.environ.clear(); sys.path.clear(); sys.meta_path.clear()",
    "signals": "import signal; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)]",
    "thread": "import threading; threading.Thread(target=time.sleep, args=(300,)).start()",
    "child": "os.fork() or (time.sleep(300), os._exit(0))",
    "shadow": "import zslbench.protocol; zslbench.protocol.float = lambda value: 1.0",
    "saved": "import torch; torch.autograd.graph.saved_tensors_hooks(lambda t: t / 2, lambda t: t).__enter__()",
    "bare_thread": "import _thread, torch\n"
                   "def late(): time.sleep(0.1); torch.set_default_dtype(torch.float64); time.sleep(300)\n"
                   "_thread.start_new_thread(late, ())",
    "garbage": "import torch\n"
               "class Cycle:\n"
               "    def __del__(self): torch.set_default_dtype(torch.float64)\n"
               "cycle = Cycle(); cycle.itself = cycle",
    "watchdog": "import faulthandler; faulthandler.dump_traceback_later(1, exit=True, file=sys.__stderr__)",
    "at_exit": "import atexit; atexit.register(time.sleep, 300)",
}  # fmt: skip
"""Method -> what it does before it is fitted."""

WHEN_IMPORTED = {
    "top_precision": "import torch\ntorch.set_float32_matmul_precision('medium')",
    "top_dtype": "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)",
    "top_patch": "import torch\ntorch.optim.Adam.step = lambda self, closure=None: None",
    "top_house": "import os, sys\nos.environ['OMP_NUM_THREADS'] = '7'\nos.chdir('/')\nsys.path.insert(0, '/nowhere')",
    "top_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()",
}
"""Method -> the top of its file."""

_HEAD = '''
from dataclasses import dataclass
import os, sys, time
import numpy as np
from zslbench import Method, MethodInfo, param

MODE = {mode!r}

class Ridge(Method):
    """A ridge regression from a random start."""

    info = MethodInfo(name="{victim}", title="Ridge", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0)

    def fit(self, train):
        self.disturb()
        features, semantics = train.features, train.semantics[train.labels]
        noise = train.rng("start").normal(size=(features.shape[1], semantics.shape[1]))
        gram = features.T @ features + self.config.ridge * np.eye(features.shape[1])
        self.W_ = np.linalg.solve(gram, features.T @ semantics + noise)

    def disturb(self):
        pass

    def scorers(self, candidates):
        yield lambda features: features @ self.W_ @ candidates.semantics.T
'''

_TRAINED = '''
class Trained(Ridge):
    """Learns with torch, and draws from everybody's random numbers."""

    info = MethodInfo(name="trained", title="Trained", family="linear", citation="")

    def fit(self, train):
        import random, torch
        X, S = torch.tensor(train.features), torch.tensor(train.semantics)[torch.tensor(train.labels)]
        layer = torch.nn.Linear(X.shape[1], S.shape[1])
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01 * (1 + random.random() + np.random.random()))
        for _ in range(20):
            optimizer.zero_grad()
            ((layer(X) - S) ** 2).mean().backward()
            optimizer.step()
        self.W_ = layer.weight.detach().numpy().T
'''

_HOSTILE = '''
class {title}(Ridge):
    """Leaves something behind."""

    info = MethodInfo(name="{name}", title="{name}", family="linear", citation="")

    def {where}(self{arguments}):
{body}
'''


def write_hostile(folder: Path) -> list[Path]:
    """Write the plugin files: one with `IN_FIT` and the victims ``ridge`` and ``trained``, one each of
    `WHEN_IMPORTED`."""
    text = _HEAD.format(victim="ridge", mode=_MODE) + _TRAINED
    for number, (name, statement) in enumerate(IN_FIT.items()):
        body = "".join(f"        {line}\n" for line in statement.splitlines())
        if number % 3 < 2:
            text += _HOSTILE.format(title=name.title(), name=name, where="disturb", arguments="", body=body)
        else:  # only when it is asked for its scorers
            body += "        yield from super().scorers(candidates)\n"
            text += _HOSTILE.format(title=name.title(), name=name, where="scorers", arguments=", candidates", body=body)
    paths = [folder / "hostile.py"]
    paths[0].write_text(text)
    for name, top in WHEN_IMPORTED.items():
        paths.append(folder / f"{name}.py")
        paths[-1].write_text(top + _HEAD.format(victim=name, mode=""))
    return paths
