"""Whether an offload freed what it was to free, and who is in the way if not."""

from __future__ import annotations

from ...errors import InvalidArgument
from .types import GIB, Bytes, Part, check_bytes, say_bytes
from .verdict import Holder, LevelResult, OffloadCase, Verdict

_OUTCOMES = ("pass", "partial", "fail")


def judge(offload: OffloadCase) -> Verdict:
    """Compares expectation and readings at four levels.

    pass: every level that can be told agrees within the tolerance, and the driver's or torch's
    reserved bytes are among them. partial: the owners left, but torch's cache keeps the bytes, the
    proof cannot be had on this machine, or the owners held less than was requested. fail: somebody
    still holds memory that was to leave, or a budget is not kept. A verdict other than pass is due
    a second reading, SECOND_READING_SECONDS later. Raises InvalidArgument for negative bytes.
    """
    if not 0 <= offload.tolerance <= GIB:
        raise InvalidArgument(f"tolerance={offload.tolerance}: must be in [0, {GIB}]")
    return _Judge(offload).run()


class _Judge:
    """Collects a verdict level by level, from the owners down to the driver."""

    def __init__(self, offload: OffloadCase) -> None:
        self._case = offload
        self._outcome = 0
        self._levels: list[LevelResult] = []
        self._holders: list[Holder] = []
        self._notes: list[str] = []
        self._drift: Bytes = None
        self._expected = 0
        self._in_torch = 0
        self._explained = 0  # bytes in torch that named owners still hold
        self._outside_over = 0  # bytes outside torch that named owners still hold
        self._cached = 0  # bytes that left the tensors and not the cache
        self._allocated_ok = True
        self._proven = False

    def run(self) -> Verdict:
        self._owners()
        self._allocated()
        self._reserved()
        self._driver()
        self._request()
        self._budgets()
        if not (self._proven or self._case.nothing_to_prove or self._expected == 0):
            self._worse("partial")
            self._notes.append("neither torch's reserved bytes nor the driver's are available")
        return Verdict(
            outcome=_OUTCOMES[self._outcome],
            levels=tuple(self._levels),
            holders=tuple(self._holders),
            foreign_drift=self._drift,
            notes=tuple(self._notes),
        )

    def _worse(self, outcome: str) -> None:
        self._outcome = max(self._outcome, _OUTCOMES.index(outcome))

    def _level(self, name: str, expected: int, freed: Bytes, ok: bool) -> None:
        outcome = "not available" if freed is None else "ok" if ok else "short"
        self._levels.append(LevelResult(name, expected, freed, outcome))

    def _owners(self) -> None:
        freed, ok = 0, True
        for owner in self._case.owners:
            check_bytes(f"before of {owner.owner}", owner.before)
            if not 0 <= owner.target <= owner.before:
                raise InvalidArgument(
                    f"target of {owner.owner}={owner.target}: must be in [0, {owner.before}] "
                    f"(before={owner.before})"
                )
            check_bytes(f"after of {owner.owner}", owner.after)
            self._expected += owner.before - owner.target
            freed += owner.before - owner.after
            over = owner.after - owner.target
            if owner.in_torch:
                self._in_torch += owner.before - owner.target
                self._explained += max(over, 0)
            else:
                self._outside_over += max(over, 0)
            if over > self._case.tolerance:
                ok = False
                why = "was to leave the device and is still resident"
                self._holders.append(Holder(owner.owner, over, why))
        self._level("owners", self._expected, freed, ok)
        if not ok:
            self._worse("fail")

    def _allocated(self) -> None:
        before, after = self._case.before.torch_allocated, self._case.after.torch_allocated
        if before is None or after is None:
            return self._level("torch allocated", self._in_torch, None, True)
        freed = before - after
        missing = self._in_torch - freed
        if self._case.allowed_allocated is not None:
            missing = max(missing, after - self._case.allowed_allocated)
        self._allocated_ok = self._case.nothing_to_prove or missing <= self._case.tolerance
        self._level("torch allocated", self._in_torch, freed, self._allocated_ok)
        if not self._allocated_ok:
            self._worse("fail")
            self._name_rest(missing - self._explained)

    def _name_rest(self, rest: int) -> None:
        """Names who keeps `rest` bytes of torch's that no expected owner explains."""
        for suspect in self._case.suspects:
            if rest <= self._case.tolerance:
                return
            if suspect.in_torch and suspect.bytes > 0:
                self._holders.append(Holder(suspect.name, suspect.bytes, suspect.detail))
                rest -= suspect.bytes
        if rest > self._case.tolerance:
            why = "referenced from where Python cannot see"
            self._holders.append(Holder("torch tensors of no known owner", rest, why))

    def _reserved(self) -> None:
        before, after = self._case.before.torch_reserved, self._case.after.torch_reserved
        if before is None or after is None:
            return self._level("torch reserved", self._in_torch, None, True)
        freed = before - after
        self._cached = max(self._in_torch - freed, 0)
        ok = self._case.nothing_to_prove or self._cached <= self._case.tolerance
        self._proven = True
        self._level("torch reserved", self._in_torch, freed, ok)
        if ok or not self._allocated_ok:
            return None
        self._worse("partial")
        stranded = self._case.after.stranded
        why = (
            f"{say_bytes(stranded)} of it stranded beside live blocks"
            if stranded is not None
            else "this allocator does not tell what keeps it there"
        )
        self._holders.append(Holder("torch's cache", self._cached, why))

    def _driver(self) -> None:
        before, after = self._case.before, self._case.after
        if before.driver_used is None or after.driver_used is None:
            return self._level("driver", self._expected, None, True)
        freed = before.driver_used - after.driver_used
        if before.foreign is not None and after.foreign is not None:
            self._drift = after.foreign - before.foreign
            freed += self._drift
        # What torch's cache keeps was said one level up.
        rest = self._expected - freed - self._cached - self._outside_over
        ok = self._case.nothing_to_prove or self._expected - freed <= self._case.tolerance
        self._proven = True
        self._level("driver", self._expected, freed, ok)
        if ok or rest <= self._case.tolerance:
            return
        if self._drift is not None:
            self._worse("fail")
            why = "grew while the owners left"
            self._holders.append(Holder("own memory outside torch", rest, why))
        else:
            self._worse("partial")
            why = "taken by another process or by libraries: not available which"
            self._holders.append(Holder("unknown", rest, why))

    def _request(self) -> None:
        requested = self._case.requested
        if requested is None or self._expected >= requested - self._case.tolerance:
            return
        self._worse("partial")
        self._notes.append(
            f"requested {say_bytes(requested)}, but all that could leave is "
            f"{say_bytes(self._expected)}"
        )

    def _budgets(self) -> None:
        case = self._case
        if case.may_stay is not None:
            if case.stays is None:
                self._cannot_tell("may_stay")
            elif case.stays > case.may_stay:
                self._worse("fail")
                self._notes.append(
                    f"{say_bytes(case.stays)} stay on the device, the budget is "
                    f"{say_bytes(case.may_stay)}"
                )
                self._name_present(case.stays - case.may_stay, "over the budget", False)
        if case.must_be_free is not None:
            if case.free is None:
                self._cannot_tell("must_be_free")
            elif case.free < case.must_be_free:
                self._worse("fail")
                self._notes.append(
                    f"{say_bytes(case.free)} are free, {say_bytes(case.must_be_free)} have to be"
                )
                missing = case.must_be_free - case.free
                self._name_present(missing, "in the way of the budget", True)

    def _cannot_tell(self, budget: str) -> None:
        self._worse("partial")
        self._notes.append(f"budget {budget}: cannot be checked, no reading for it")

    def _name_present(self, missing: int, why: str, with_others: bool) -> None:
        """The largest parts that together hold `missing` bytes."""
        for part in sorted(self._case.present, key=_descending):
            if missing <= 0 or part.bytes <= 0:
                return
            if not with_others and part.kind in ("process", "own", "unknown"):
                continue
            if all(holder.name != part.name for holder in self._holders):
                self._holders.append(Holder(part.name, part.bytes, part.detail or why))
            missing -= part.bytes


def _descending(part: Part) -> int:
    return -part.bytes
