"""What becomes of a change in the history: it is recorded once it has ended, however it ended."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from mydockernet.context import Context
from mydockernet.errors import MydockernetError
from mydockernet.plan import Change
from mydockernet.record import history
from mydockernet.record.history import DONE, FAILED, RECOVERED, ROLLED_BACK, UNCONFIRMED, Entry, History


class Recorder:
    """Records the change that begins when this is created."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._began = time.monotonic()
        self._first = len(context.kernel.ran)
        self._rollback: int | None = None
        self.change = Change({}, {})
        self.undoes = 0

    def done(self, repaired: Iterable[str] = (), error: str = "") -> tuple[str, ...]:
        """Record that the change was made, or that a repair left out what an `error` tells; returns notes.

        `repaired` are the owners of the drift that was repaired.
        """
        names = {owner.partition("@")[0] for owner in repaired} - {""}  # @shared has no name.
        return self._record(DONE, error, names)

    @contextlib.contextmanager
    def rolling_back(self, failure: BaseException) -> Iterator[None]:
        """Record how a rollback ended, after this failure."""
        self._rollback = len(self._context.kernel.ran)
        try:
            yield
        except MydockernetError as again:
            self._record(FAILED, str(again))
            raise
        self._record(ROLLED_BACK, str(failure) or type(failure).__name__)

    def recovered(self, complete: bool, error: str) -> tuple[str, ...]:
        """Record that an interrupted change was rolled back, or that it was `complete`; returns notes."""
        self._rollback = self._first
        words = self._context.store.journal_words()
        return self._record(DONE if complete else RECOVERED, error, words=words)

    def unconfirmed(self, error: str) -> tuple[str, ...]:
        """Record that a change was rolled back because it was not confirmed; returns notes."""
        self._rollback = self._first
        return self._record(UNCONFIRMED, error, words=self._context.store.unconfirmed_words())

    def _record(
        self, result: str, error: str, more: Iterable[str] = (), words: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        ran, context = self._context.kernel.ran, self._context
        cut = len(ran) if self._rollback is None else self._rollback
        before, after, positions = history.changed(self.change.before, self.change.after)
        entry = Entry(
            0,
            history.now(),
            history.who(os.environ),
            context.words if words is None else words,
            tuple(sorted({*self.change.after, *more})),
            result,
            round(time.monotonic() - self._began, 3),
            error,
            before,
            after,
            positions,
            history.commands_of(ran[self._first : cut]),
            history.commands_of(ran[cut:]),
            self.undoes,
        )
        note = History(context.store.folder).append(entry)
        return (note,) if note else ()
