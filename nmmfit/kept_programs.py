"""Programs kept between processes as they are before compilation: the next process neither traces nor lowers them.

JAX's own cache of compiled programs finds them by what they are lowered to, so that every process traces and lowers first, which
takes longer than to load what is found. Here what a function is lowered to (jax.export) is found by a digest of all that tracing
it depends on, and of the shapes of its arguments.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

from nmmfit.kept import digest, keep_content, kept_content
from nmmfit.run_once import quick_options


def kept_program(
    function: Callable[..., Any], given: tuple[Any, ...], fingerprint: str | None, once: bool = False
) -> Callable[..., Any]:
    """A function compiled for arguments of given shapes, not traced where a process has traced it before.

    Args:
        function: traceable, of trees of arrays.
        given: arguments, or their shapes and types.
        fingerprint: of all that tracing it depends on but the shapes, this program's source included; None: it is not kept.
        once: whether it is called a few times only, and is therefore compiled quickly (nmmfit/run_once.py).
    Returns: a function of arguments of these shapes. A cache that cannot be read or written is no error, nor is a function that
        JAX cannot export.
    """
    import jax
    import jax.export

    options = quick_options() if once else None
    path = None if fingerprint is None else _place(fingerprint, given)
    leaves, tree = jax.tree.flatten(given)
    content = None if path is None else kept_content(path)
    if path is not None and content is None:
        content = _exported(function, leaves, tree)
        if content is not None:
            keep_content(path, content)
    if content is None:
        return jax.jit(function).lower(*given).compile(options)
    # The same way in the process that traced it, so that both compute the same bits.
    raw, example = pickle.loads(content)
    _prepare_linear_algebra()
    program = jax.jit(jax.export.deserialize(raw).call).lower(*leaves).compile(options)
    ends = jax.tree.structure(example)

    def run(*arguments: Any) -> Any:
        return jax.tree.unflatten(ends, program(*jax.tree.leaves(arguments)))

    return run


def remembered_program(function: Hashable, given: tuple[Any, ...], fingerprint: str) -> Callable[..., Any]:
    """The same for a function that is called again and again, with arguments of a few kinds of shapes."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    leaves, tree = jax.tree.flatten(given)
    return _remembered(function, fingerprint, tree, tuple((np.shape(x), jnp.result_type(x)) for x in leaves))


@lru_cache(maxsize=64)
def _remembered(
    function: Any, fingerprint: str, tree: Any, shapes: tuple[tuple[tuple[int, ...], Any], ...]
) -> Callable[..., Any]:
    import jax

    given = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*shape) for shape in shapes])
    return kept_program(function, given, fingerprint)


def forget_remembered() -> None:
    """Forget the programs of `remembered_program` in this process."""
    _remembered.cache_clear()


def results_of(function: Callable[..., Any], given: tuple[Any, ...], fingerprint: str | None) -> Any:
    """Shapes and types of what a function returns, as `jax.eval_shape` gives them; not traced where its program is kept."""
    import jax
    import jax.export

    path = None if fingerprint is None else _place(fingerprint, given)
    content = None if path is None else kept_content(path)
    if content is None:
        # Types that are no Python number's, as programs that are kept have them.
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), jax.eval_shape(function, *given))
    raw, example = pickle.loads(content)
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in jax.export.deserialize(raw).out_avals]
    return jax.tree.unflatten(jax.tree.structure(example), shapes)


def _exported(function: Callable[..., Any], leaves: list[Any], tree: Any) -> bytes | None:
    """What a function of flat lists is lowered to, as structures of our own classes cannot be stored, with an example of the
    structure of its results, made of classes that pickle knows; None if JAX refuses."""
    import jax
    import jax.export

    examples = []

    def flat(*values: Any) -> list[Any]:
        found, structure = jax.tree.flatten(function(*jax.tree.unflatten(tree, values)))
        examples.append(jax.tree.unflatten(structure, range(len(found))))
        return found

    try:
        raw = jax.export.export(jax.jit(flat))(*leaves).serialize()
    except (ValueError, NotImplementedError, ImportError):
        return None
    return pickle.dumps((bytes(raw), examples[0]), protocol=pickle.HIGHEST_PROTOCOL)


def _place(fingerprint: str, given: tuple[Any, ...]) -> Path | None:
    """The file of a program; None where programs are not kept."""
    import jax

    settings: Any = jax.config
    folder = settings.jax_compilation_cache_dir
    if not folder or not settings.jax_enable_compilation_cache:
        return None
    shapes = jax.eval_shape(lambda *x: x, *given)
    # Any setting of JAX may change a program, but where programs are kept.
    told = [f"{name} {value}" for name, value in sorted(settings.values.items()) if "cache" not in name]
    told += [os.environ.get("XLA_FLAGS", ""), str(jax.local_devices()), str(jax.tree.flatten(shapes))]
    return Path(folder) / f"nmmfit-{digest([fingerprint, *told])}.program"


@lru_cache(maxsize=1)
def _prepare_linear_algebra() -> None:
    """Have JAX find its LAPACK, which it does when it lowers a call of it, and without which a program from disk would crash."""
    import jax
    import jax.numpy as jnp

    jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), jnp.float64))
