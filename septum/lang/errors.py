"""What can go wrong, told apart by whose mistake it is.

SeptumError
├── UserError              a command or a file that cannot be used: exit status 2
│   ├── LanguageError      the modelling language refuses a line of a model
│   ├── ModelError         a running model did not end a step, assigned a whole struct, ...
│   │   └── OutOfRange     it stored a value, or took an index, out of range: in a check a finding, as a zero divisor is
│   └── NoCompiler         no C compiler could be found or run
├── Violation              an assertion of the model does not hold: a finding, not a mistake
└── EnginesDisagree        a defect of septum: both engines must leave the same state
"""

from __future__ import annotations


class SeptumError(Exception):
    """The root of every error that septum raises on purpose."""


class UserError(SeptumError):
    """Something that the user can mend; the message says what, where and how."""


class LanguageError(UserError):
    """A construct outside of the subset: where it stands, what it says, what to write instead."""

    def __init__(self, file: str, line: int, text: str, reason: str, instead: str = "") -> None:
        self.file, self.line, self.text, self.reason, self.instead = file, line, text, reason, instead
        advice = f"\n  write instead: {instead}" if instead else ""
        super().__init__(f"{file}:{line}: {reason}\n    {text}{advice}")


class ModelError(UserError):
    """A model did what no kernel could: a value out of range, an index out of bounds, a step without an end."""


class OutOfRange(ModelError):
    """A value does not fit its field or its type, or an index its array; a choice is one among none."""


class NoCompiler(UserError):
    """The C engine was asked for and no C compiler works."""


class Violation(SeptumError):
    """An assertion of the model failed; `clause` is its message, `kind` says which construct it was."""

    def __init__(self, clause: str, kind: str = "assert") -> None:
        self.clause, self.kind = clause, kind
        super().__init__(clause)


class EnginesDisagree(SeptumError):
    """The Python engine, replaying a schedule of the C engine, came to another state."""


class OutOfTime(BaseException):
    """The time ended, wherever the run was: no mistake, and nothing that a model may catch with `except Exception`."""
