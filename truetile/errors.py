"""Errors of TrueTile. Each message names the argument, the value it got and the values allowed."""

__all__ = [
    "BudgetError",
    "InvalidArgument",
    "LadderExhausted",
    "NonFiniteError",
    "WorkflowError",
]


class InvalidArgument(ValueError):
    """An argument outside its range, e.g. `overlap=64: must be in [0, 63] (tile=64)`."""


class BudgetError(RuntimeError):
    """No rung of the ladder fits the byte budget; the message lists what each rung needs."""


class LadderExhausted(RuntimeError):
    """Memory ran out on the smallest rung too; the message lists the rungs and their bytes."""


class NonFiniteError(RuntimeError):
    """The VAE made NaN or Inf from finite input, in float32 too; the message says where."""


class WorkflowError(InvalidArgument):
    """A workflow that cannot be read; the message says where and what was expected there."""


# What a user reads in an error dialog: the package's name, not the path that the pack lies at.
for _name in __all__:
    globals()[_name].__module__ = "truetile"
