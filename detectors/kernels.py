"""How hot loops are compiled: serial, without the interpreter lock, kept on disk.

numba's own cache refuses a folder it cannot write to, so a container with a read-only root would compile again at every
start. The cache here reads such a folder, and where there is none at all it compiles in memory instead of failing.

numba notices a change of the file a kernel stands in, not of what it calls in other files: a kernel calls only kernels
of its own module. A change of the operations in `lanes` is noticed, too.
"""

import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core import caching

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])
_LANES = zlib.crc32(Path(__file__).with_name("lanes.py").read_bytes())


_Provided: Any  # the class for NUMBA_CACHE_DIR, which numba renamed
_Provided, *_others = caching.CompileResultCacheImpl._locator_classes


class _BakedLocator(_Provided):
    """``NUMBA_CACHE_DIR``, filled when an image was built and read-only since."""

    def ensure_cache_path(self) -> None:
        if not Path(self.get_cache_path()).is_dir():
            super().ensure_cache_path()


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = [_BakedLocator, *_others]  # noqa: RUF012


class _Index(caching.IndexDataCacheFile):
    def _load_index(self) -> Any:
        """What was compiled; nothing if that was for a class of arguments that is no more."""
        try:
            return super()._load_index()
        except (AttributeError, ImportError):
            return {}


class _KernelCache(caching.FunctionCache):
    _impl_class = _CacheImpl

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Index(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _LANES)

    def _save_overload(self, sig: Any, data: Any) -> None:
        try:
            super()._save_overload(sig, data)
        except OSError as error:
            _log.warning("compiled %s in memory only, it cannot be kept: %s", self._name, error)


def kernel(function: _Function) -> _Function:
    """Compile a function of numbers and arrays at its first call, or load it from disk.

    Bounds are not checked inside, so whatever comes from outside must have been. Floating-point operations are done as
    written, in that order: the same bits on one row or many, on one thread or several. Division by zero gives infinity
    or NaN, as numpy has it; checking for it would keep loops from being vectorised.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    try:
        compiled._cache = _KernelCache(function)
    except RuntimeError:  # numba found no folder it may write to
        _log.warning("no folder to keep compiled kernels in; %s is compiled at every start", function.__name__)
    return compiled  # type: ignore[no-any-return]
