"""Parses commands of the AWS CLI with the CLI's own parser and models, and sends nothing.

Reads a JSON list of commands from standard input. Prints the operation of each, or why it is refused; then it ends with 1.
"""

import contextlib
import io
import json
import subprocess
import sys

from awscli.clidriver import create_clidriver


class Answer:
    status_code = 200
    headers = {}


# What the CLI needs of an answer to print it.
PARSED = {
    "ListObjectsV2": lambda: {
        "Contents": [{"Key": "key", "Size": 1, "LastModified": "2026-01-01T00:00:00Z"}]
    },
    "Invoke": lambda: {"StatusCode": 202, "Payload": io.BytesIO(b"")},
}


def words(command):
    """The command's words, as bash expands them."""
    expanded = subprocess.run(
        ["bash", "-c", f'set -eu; printf "%s\\0" {command}'], capture_output=True, text=True, check=True
    )
    return expanded.stdout.split("\0")[:-1]


class Parser:
    def __init__(self):
        self.operations = []
        self.driver = create_clidriver()
        self.driver.session.register("before-call", self.answer)

    def answer(self, model, **_):
        self.operations.append(f"{model.service_model.service_name} {model.name}")
        return Answer(), PARSED.get(model.name, dict)()

    def sent(self, command):
        """The first operation that the CLI would send."""
        self.operations.clear()
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                code = self.driver.main(words(command)[1:])
        except SystemExit as ended:
            code = ended.code
        if code != 0 or not self.operations:
            raise ValueError((said.getvalue().strip() or f"it ends with {code}").splitlines()[-1])
        return self.operations[0]


def main():
    refused, parser = False, Parser()
    for command in json.load(sys.stdin):
        try:
            print(f"{parser.sent(command)}: {command}")
        except Exception as error:
            refused = True
            print(f"REFUSED ({error}): {command}")
    sys.exit(refused)


main()
