"""Nordic's own ``claim_devices``, unmodified, as a program that speaks to the emulator.

``python -m reliability.nordic URL [arguments of claim_devices]``. Only where the client looks for the
service is changed: three globals of ``nrf_cloud_diap``.
"""

from __future__ import annotations

import sys


def main(url: str, arguments: list[str]) -> None:
    """Run it; it ends the process itself."""
    from nrfcloud_utils import claim_devices, nrf_cloud_diap  # type: ignore[import-untyped]

    nrf_cloud_diap.API_URL_START = url
    nrf_cloud_diap.DEV_STAGE_DICT = {"": "/"}
    nrf_cloud_diap.API_URL_END = "v1/"
    claim_devices.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
