"""What a long computation keeps on disk while it runs, so that nothing is lost when it ends before it is done."""

from nmmfit.durable.chunks import BrokenChunkError, ChunkStore, Engine, run_chunks
from nmmfit.durable.lock import FolderLock

__all__ = ["BrokenChunkError", "ChunkStore", "Engine", "FolderLock", "run_chunks"]
