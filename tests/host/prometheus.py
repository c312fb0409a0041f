# SPDX-License-Identifier: GPL-2.0
"""Queries of a Prometheus on this machine, for tests and benchmarks."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

# Nothing fails because a machine is slow: this is for what hangs.
LIMIT_SECONDS = 300


def until(function, limit=LIMIT_SECONDS):
    """Return the first result of a function that is true."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        result = function()
        if result:
            return result
        time.sleep(0.1)
    raise TimeoutError(f"no result in {limit} s")


class Prometheus:
    """The API of the Prometheus at an address."""

    def __init__(self, url):
        self.url = url

    def get(self, path, method="GET", **parameters):
        """Return the data of a response."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        request = urllib.request.Request(f"{self.url}/api/v1/{path}?{query}", method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise OSError(f"{path} {parameters}: {error.read().decode()}") from error

    def query(self, expression):
        """Return the labels and the value of each series, with 'instant' queries."""
        return [(series["metric"], float(series["value"][1]))
                for series in self.get("query", query=expression)["result"]]

    def value(self, expression):
        """Return the value of the only series."""
        (_, value), = self.query(expression)
        return value
