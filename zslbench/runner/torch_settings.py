"""What code can set in torch, once that is loaded: a method of NumPy need not pay for it."""

import contextlib
import sys
import warnings
from typing import Any

from zslbench.runner.settings import Setting


def torch_settings(torch: Any) -> list[Setting]:
    """Those of a loaded torch. Where one version lacks a name, that setting is left out."""
    found: list[Setting] = []
    for make in (
        _grad_modes,
        _modes,
        _saved,
        _precision,
        _switches,
        _attention,
        _autocast,
        _hooks,
        _guards,
        _checks,
        _printing,
    ):
        with contextlib.suppress(AttributeError, ImportError, KeyError):
            found += make(torch)
    return found


def documented(torch: Any) -> dict[str, Any]:
    """What the settings that decide about numbers are when torch begins, for a torch that somebody else has loaded."""
    return {
        "torch.set_default_dtype": torch.float32,
        "torch.inference_mode": False,
        "torch.set_grad_enabled": True,
        "torch.autograd.set_detect_anomaly": (False, True),
        "torch.set_default_device or a TorchFunctionMode": (),
        "a TorchDispatchMode": (),
        "torch.set_float32_matmul_precision": (
            "highest", *("tf32" if pair in _CUDA_TF32 else "none" for pair in _pairs(torch))
        ),
        "torch.use_deterministic_algorithms": 0,
        "torch.autocast": ((False, torch.bfloat16), (False, torch.float16), True),
    }  # fmt: skip


_CUDA_TF32 = (("cuda", "conv"), ("cuda", "rnn"))


def _grad_modes(torch: Any) -> list[Setting]:
    guards: list[Any] = []  # an inference mode lasts as long as its guard

    def set_inference(on: bool) -> None:
        guards[:] = [torch.autograd.grad_mode._enter_inference_mode(on)]

    def anomaly() -> tuple[bool, bool]:
        return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()

    return [
        Setting("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype),
        Setting("torch.inference_mode", torch.is_inference_mode_enabled, set_inference),
        Setting("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled),
        Setting("torch.autograd.set_detect_anomaly", anomaly, lambda on: torch.set_anomaly_enabled(*on)),
    ]


def _modes(torch: Any) -> list[Setting]:
    """Stacks of what intercepts every operation; a default device is one of them."""
    from torch.utils._device import DeviceContext

    functions, dispatch = torch.overrides, torch.utils._python_dispatch

    def set_function_modes(modes: tuple[Any, ...]) -> None:
        while functions._get_current_function_mode_stack():
            functions._pop_mode()
        for mode in modes:
            functions._push_mode(mode)
        devices = [mode for mode in modes if isinstance(mode, DeviceContext)]
        torch._GLOBAL_DEVICE_CONTEXT.device_context = devices[0] if devices else None

    def set_dispatch_modes(modes: tuple[Any, ...]) -> None:
        while stack := dispatch._get_current_dispatch_mode_stack():
            key = getattr(stack[-1], "_mode_key", None)
            dispatch._pop_mode(key)
        for mode in modes:
            dispatch._push_mode(mode)

    def function_modes() -> tuple[Any, ...]:
        return tuple(functions._get_current_function_mode_stack())

    def dispatch_modes() -> tuple[Any, ...]:
        return tuple(dispatch._get_current_dispatch_mode_stack())

    return [
        Setting("torch.set_default_device or a TorchFunctionMode", function_modes, set_function_modes),
        Setting("a TorchDispatchMode", dispatch_modes, set_dispatch_modes),
    ]


def _saved(torch: Any) -> list[Setting]:
    """What is done to tensors that the backward pass needs."""
    own = torch._C._autograd

    def hooks() -> tuple[Any, ...]:
        return own._top_saved_tensors_default_hooks(True), own._saved_tensors_hooks_get_disabled_error_message()

    def set_hooks(state: tuple[Any, ...]) -> None:
        own._saved_tensors_hooks_enable()
        while own._top_saved_tensors_default_hooks(True) not in (None, state[0]):
            own._pop_saved_tensors_default_hooks()
        if state[0] is not None and own._top_saved_tensors_default_hooks(True) is None:
            own._push_saved_tensors_default_hooks(*state[0])
        if state[1] is not None:
            own._saved_tensors_hooks_disable(state[1])

    return [Setting("torch.autograd.graph.saved_tensors_hooks", hooks, set_hooks)]


def _precision(torch: Any) -> list[Setting]:
    """One question with an old answer, which newer torch refuses where they disagree, and a new one per operation."""
    of, pairs = getattr(torch._C, "_get_fp32_precision_getter", None), _pairs(torch)

    def read() -> tuple[str, ...]:
        try:
            common = torch.get_float32_matmul_precision()
        except RuntimeError:
            common = "mixed"
        return common, *(of(*pair) for pair in pairs)  # type: ignore[misc]

    def write(values: tuple[str, ...]) -> None:
        torch.set_float32_matmul_precision(values[0])
        for pair, value in zip(pairs, values[1:], strict=True):
            torch._C._set_fp32_precision_setter(*pair, value)

    return [Setting("torch.set_float32_matmul_precision", read, write)]


def _pairs(torch: Any) -> list[tuple[str, str]]:
    """Backends and operations that have a precision of their own."""
    of = getattr(torch._C, "_get_fp32_precision_getter", None)
    found = []
    for pair in ((backend, kind) for backend in ("generic", "mkldnn", "cuda") for kind in _OPERATIONS):
        with contextlib.suppress(Exception):
            of(*pair)  # type: ignore[misc]
            found.append(pair)
    return found


_OPERATIONS = ("all", "matmul", "conv", "rnn")


def _switches(torch: Any) -> list[Setting]:
    """Everything that torch's core can both tell and set in one word: whether cuDNN, oneDNN, TF32 … may be used."""
    found = [
        Setting(
            "torch.use_deterministic_algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
        )
    ]
    for name in dir(torch._C):
        if name.startswith("_set_") and name not in _NO_SWITCH:
            read, write = getattr(torch._C, f"_get_{name[5:]}", None), getattr(torch._C, name)
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = read()  # type: ignore[misc]
                if isinstance(value, tuple):
                    write = lambda values, write=write: write(*values)  # noqa: E731
                if value is not None:
                    write(value)
                    found.append(Setting(f"torch {name[5:].replace('_', ' ')}", read, write))  # type: ignore[arg-type]
    return found


_NO_SWITCH = ("_set_thread_name", "_set_float32_matmul_precision", "_set_deterministic_algorithms")


def _attention(torch: Any) -> list[Setting]:
    """Which of the ways to compute attention may be taken: they differ in the last digits."""
    found = [
        Setting("torch.backends.mha.set_fastpath_enabled", torch.backends.mha.get_fastpath_enabled,
                torch.backends.mha.set_fastpath_enabled)
    ]  # fmt: skip
    for name in dir(torch._C):
        if name.startswith("_set_sdp_use_"):
            way = name.removeprefix("_set_sdp_use_")
            with contextlib.suppress(AttributeError):
                read, write = getattr(torch._C, f"_get_{way}_sdp_enabled"), getattr(torch._C, name)
                found.append(Setting(f"torch.backends.cuda.enable_{way}_sdp", read, write))
    return found


def _autocast(torch: Any) -> list[Setting]:
    def read() -> tuple[Any, ...]:
        per_device = ((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda"))
        return *per_device, torch.is_autocast_cache_enabled()

    def write(state: tuple[Any, ...]) -> None:
        for kind, (on, dtype) in zip(("cpu", "cuda"), state, strict=False):
            torch.set_autocast_enabled(kind, on)
            torch.set_autocast_dtype(kind, dtype)
        torch.set_autocast_cache_enabled(state[-1])

    return [Setting("torch.autocast", read, write)]


def _hooks(torch: Any) -> list[Setting]:
    """Those that are registered for all modules or optimizers."""
    found = []
    for module in (torch.nn.modules.module, sys.modules["torch.optim.optimizer"]):
        for name, hooks in vars(module).items():
            if name.startswith("_global") and isinstance(hooks, dict):
                found.append(
                    Setting(
                        f"{module.__name__}.{name}",
                        lambda hooks=hooks: tuple(hooks.items()),  # type: ignore[misc]
                        lambda items, hooks=hooks: (hooks.clear(), hooks.update(items)),  # type: ignore[misc]
                    )
                )
    return found


def _guards(torch: Any) -> list[Setting]:
    """What holds as long as some object lives, or for good: it can be told and not ended, so the process is."""
    forward, functorch = torch.autograd.forward_ad, torch._C._functorch

    def kernels() -> frozenset[str]:
        """Of torch's own operations, those that were replaced. Torch itself does so for tensors without numbers, and
        for its vmap when that is first used."""
        its_own = "Meta", "FuncTorchBatched"
        return frozenset(
            name for name in torch.library._impls if name.startswith("aten/") and name.rpartition("/")[2] not in its_own
        )

    def leave_forward(level: int) -> None:
        while forward._current_level > level:
            forward.exit_dual_level()

    def stay(value: Any) -> None:
        """Nothing can be done."""

    return [
        Setting("torch.autograd.forward_ad", lambda: forward._current_level, leave_forward),
        Setting("torch.func", lambda: functorch.peek_interpreter_stack() is None, stay),
        Setting("torch.autograd.profiler", torch.autograd._profiler_enabled, stay),
        Setting("torch.library", kernels, stay),
        Setting("torch.sparse.check_sparse_tensor_invariants", torch._C._check_sparse_tensor_invariants,
                torch._C._set_check_sparse_tensor_invariants),
        Setting("torch.autograd.set_multithreading_enabled", torch._C._is_multithreading_enabled,
                torch._C._set_multithreading_enabled),
        Setting("torch.__future__", lambda: tuple(getter() for getter, _ in _futures(torch)),
                lambda values: [setter(on) for (_, setter), on in zip(_futures(torch), values, strict=True)]),
    ]  # fmt: skip


def _futures(torch: Any) -> list[tuple[Any, Any]]:
    """How modules are converted."""
    future = torch.__future__
    names = ("overwrite_module_params_on_conversion", "swap_module_params_on_conversion")
    return [(getattr(future, f"get_{name}"), getattr(future, f"set_{name}")) for name in names]


def _checks(torch: Any) -> list[Setting]:
    checks = torch.distributions.Distribution
    name = "torch.distributions.Distribution.set_default_validate_args"
    return [Setting(name, lambda: checks._validate_args, checks.set_default_validate_args)]


def _printing(torch: Any) -> list[Setting]:
    options = torch._tensor_str.PRINT_OPTS
    return [
        Setting("torch.set_printoptions", lambda: tuple(sorted(vars(options).items())),
                lambda items: vars(options).update(items))
    ]  # fmt: skip
