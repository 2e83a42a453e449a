"""``python -m airflow_provider_nrfprov.emulator``: the emulator until it is asked to stop."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import logging
import os
import signal
import sys
import time
from typing import get_args, get_type_hints

from airflow_provider_nrfprov.emulator.settings import Settings

_LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return 0, or 1 if the port is unavailable."""
    options = vars(_parser().parse_args(arguments))
    fault_seed, fault_rate = options.pop("fault_seed"), options.pop("fault_rate")
    fault_limit = options.pop("fault_limit")
    logging.basicConfig(level=options["log_level"].upper())
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stop.append(received))
    try:
        from airflow_provider_nrfprov.emulator.server import running_emulator

        with running_emulator(**options) as emulator:
            if fault_rate:
                emulator.service.faults.schedule(seed=fault_seed, rate=fault_rate, limit=fault_limit)
            sys.stdout.write(f"nRF Cloud emulator on {emulator.url}\n")
            if emulator.ca_file:
                sys.stdout.write(f"Its certificate is of the CA in {emulator.ca_file}\n")
            sys.stdout.flush()
            while not stop:  # an Event may deadlock if a handler sets it while this thread waits
                time.sleep(0.1)
    except ModuleNotFoundError as error:  # at once, or for TLS, which needs one more
        return _complain(
            f"The emulator needs {error.name}: pip install 'airflow-provider-nrfprov[emulator]'."
        )
    except OSError as error:
        host, port = options["host"], options["port"]
        if error.errno == errno.EADDRINUSE:
            return _complain(f"Port {port} of {host} is in use; choose another with --port (0 takes any).")
        return _complain(f"Cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}.")
    except ValueError as error:
        return _complain(f"{error}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults, hints = Settings(), get_type_hints(Settings)
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_nrfprov.emulator",
        description="A local stand-in of Nordic's nRF Cloud Provisioning Service.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--host",
        type=_address,
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 only where nobody else can reach it, as in a container: keys go over plain HTTP unless --tls is given",
    )
    parser.add_argument("--port", type=_port, default=8099, help="0 takes any free port")
    parser.add_argument(
        "--tls", action="store_true", help="speak TLS with a CA made on the spot, whose file is printed"
    )
    parser.add_argument("--api-key", default=defaults.api_key, help="API key of team A's owner")
    parser.add_argument(
        "--contract",
        choices=get_args(hints["contract"]),
        default=defaults.contract,
        help="which generation of the service is served",
    )
    parser.add_argument(
        "--bulk-seconds", type=float, default=defaults.bulk_seconds, help="how long a bulk operation takes"
    )
    parser.add_argument(
        "--token-check",
        choices=get_args(hints["token_check"]),
        default=defaults.token_check,
        help="whether claim tokens must be well-formed only, or signed too",
    )
    parser.add_argument(
        "--fault-rate", type=_share, default=0.0, help="share of requests that meet a fault, from 0 to 1"
    )
    parser.add_argument(
        "--fault-seed", type=int, default=0, help="the same seed gives the same requests the same faults"
    )
    parser.add_argument("--fault-limit", type=_count, default=20, help="how many faults there are at most")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="warning", help="of the server's log")
    return parser


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError("an address is one like 127.0.0.1 or 0.0.0.0") from error


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _share(text: str) -> float:
    share = float(text)  # argparse says what is wrong with a text that is no number
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("a share is from 0 to 1")
    return share


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError("a count is a whole number")
    return int(text)


def _complain(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
