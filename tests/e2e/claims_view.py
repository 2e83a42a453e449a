"""The views of Device claims in a browser: where each is, what it shows, and a picture of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.e2e.claims_world import CLAIM, VIEWER, World
from tests.e2e.conftest import PICTURES

PAGE = "/nrfprov/claims/"


def picture(page, name: str) -> None:
    if urlsplit(page.url).path == PAGE:
        # Airflow's own pages ask again and again.
        page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def require_that_axe_finds_nothing(page, name: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    counts = {kind: len(found.response[kind]) for kind in ("violations", "passes", "incomplete")}
    with (PICTURES / "axe-core.txt").open("a") as file:
        file.write(f"{name}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}\n")
    assert found.violations_count == 0, found.generate_report()


def address(world: World, view: str = "") -> str:
    return f"{world.airflow.url}{PAGE}{view}"


def claim_view(world: World, name: str) -> str:
    run_id = world.runs[name].replace("+", "%2B")
    return address(world, f"#/run?dag={CLAIM}&run={run_id}&task=claim&map=-1")


def summary_of(world: World, run_id: str) -> dict:
    query = {"dag_id": CLAIM, "run_id": run_id}
    answer = world.session(VIEWER).get(f"{world.airflow.url}/nrfprov/api/claims", params=query, timeout=60)
    (claim,) = answer.json()["claims"]
    return claim["summary"]


def wait_for_rows(page, count: int) -> None:
    page.locator(f".rows tbody:has(tr:nth-child({count})):not(:has(tr:nth-child({count + 1})))").wait_for()


def rows(page):
    """Return the cells of the rows that are shown, by column, once the server has answered."""
    page.locator(".rows:not([aria-busy]) td").first.wait_for()
    names = page.locator(".rows th").all_inner_texts()
    names = [name.strip(" ▲▼\n") for name in names]
    return [
        dict(
            zip(
                names,
                [cell.replace("Copy", "").strip() for cell in row.locator("td").all_inner_texts()],
                strict=True,
            )
        )
        for row in page.locator(".rows tbody tr").all()
    ]
