"""How large the artefacts are, beside their budget: 1.5 MB zipped without `cryptography`, 6.5 MB with it."""

from infra.artefacts import requirements_of
from tests.bench.printing import table, verdict
from tests.support.artefacts import BUILT, files, functions, zipped_size

MB = 1_000_000
BUDGET, BUDGET_WITH_CRYPTOGRAPHY = 1.5 * MB, 6.5 * MB


def report() -> None:
    rows, packed = [], {}
    for name, handler in sorted(functions().items(), key=lambda item: item[1]):
        folder, service, listed = BUILT / name, handler.split(".")[1], requirements_of(handler)
        if listed not in packed:  # functions with the same list share their artefact
            packed[listed] = zipped_size(folder)
        budget = BUDGET_WITH_CRYPTOGRAPHY if (folder / "cryptography").exists() else BUDGET
        unpacked = sum((folder / file).stat().st_size for file in files(folder))
        size = packed[listed]
        rows.append(
            [name, service, f"{size / MB:.2f}", f"{unpacked / MB:.2f}", f"{budget / MB:.1f}", verdict(size, budget)]
        )
    table("Artefacts, MB", ["function", "service", "zipped", "unpacked", "budget", ""], rows)
