"""A contract for import-linter: a package may import only what a list names.

import-linter's own contracts forbid what they name. "The standard library only" needs the other
direction, so that a library nobody thought of is caught too.
"""

import sys
from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output

__all__ = ["AllowListContract"]


class AllowListContract(Contract):
    """`source_modules` import directly only themselves, `allowed`, and the standard library.

    `without` names modules of the standard library that are not allowed either.
    """

    type_name = "allow_list"

    source_modules = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField(), required=False)
    without = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Collect the imports that are not allowed."""
        del verbose
        sources = set(self._names("source_modules"))
        for package in self._names("source_modules"):
            sources |= graph.find_descendants(package)
        violations = [
            f"{module} imports {imported}"
            for module in sorted(sources)
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported not in sources and not self._is_allowed(imported)
        ]
        return ContractCheck(kept=not violations, metadata={"violations": violations})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that is not allowed."""
        for violation in check.metadata["violations"]:
            output.print_error(f"- {violation}")

    def _is_allowed(self, imported: str) -> bool:
        if _is_within(imported, self._names("allowed")):
            return True
        return imported.partition(".")[0] in sys.stdlib_module_names and not _is_within(
            imported, self._names("without")
        )

    def _names(self, field: str) -> list[str]:
        # The fields are descriptors that import-linter fills; to a type checker they stay fields.
        value: Any = getattr(self, field)
        return list(value or ())


def _is_within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
