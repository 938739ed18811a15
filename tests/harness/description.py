"""The API's description, module/openapi.json, and whether an answer is as it says. Every answer that a test gets from the API is checked: its
status, type, headers and content. A member or a header of the API's own that is not described is a fault here; to clients it is not."""

import copy
import gzip
import json
import pathlib
import posixpath
import re
import shlex
import urllib.parse

FILE = pathlib.Path(__file__).resolve().parent.parent.parent / "module/openapi.json"

# The words of the location's dialect, in the order of the standard ones.
WORDS = {"": None, "embedding_studio": ["pending", "processing", "done", "failed", "refused", "canceled"]}

# Headers that the API gives a meaning: where one is not described, it must not be.
OWN_HEADERS = ("allow", "etag", "location", "preference-applied", "retry-after")

# The faults found since the last test ended; a thread's exception alone would not fail its test.
faults = []

_nginx_of_port = {}

# Sockets behind which is a rolloutd of a test's own, which makes up its documents.
_pretended = set()


def watch(nginx):
    """From now on, answers of this nginx's listeners are checked, as its configuration file has them."""
    _nginx_of_port[nginx.port] = _nginx_of_port[nginx.http2_port] = nginx


def forget(nginx):
    """The test makes answers that are not the API's where its routes would be."""
    for port in (nginx.port, nginx.http2_port):
        _nginx_of_port.pop(port, None)


def pretend(socket):
    """From now on, what rolloutd says at this socket is made up by a test."""
    _pretended.add(str(socket))


def strict(schema):
    """The same, where an object has no member but those that are described. What is in an allOf describes some of them alone."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: value if name == "allOf" else strict(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


class Description:
    """As a location serves it that has this dialect."""

    def __init__(self, dialect=""):
        import jsonschema  # what shares the harness and checks nothing, as benchmarks, needs no package for this
        self.jsonschema = jsonschema
        self.document = json.loads(FILE.read_text())
        if WORDS[dialect]:
            self.document["components"]["schemas"]["Status"]["enum"] = WORDS[dialect]
        checked = copy.deepcopy(self.document)
        checked["components"]["schemas"] = strict(checked["components"]["schemas"])
        checked["paths"] = strict(checked["paths"])
        self.checked = checked
        self._resolver = self.jsonschema.RefResolver.from_schema(checked)
        self._templates = sorted(((template, self._pattern(template, item)) for template, item in checked["paths"].items()),
                                 key=lambda one: one[0].count("{"))
        self._passed = set()

    def resolved(self, value):
        return self._resolver.resolve(value["$ref"])[1] if "$ref" in value else value

    def _pattern(self, template, item):
        words = {one["name"]: "|".join(one["schema"]["enum"]) for one in map(self.resolved, item.get("parameters", ()))
                 if "enum" in one["schema"]}
        return re.compile("".join(f"({words.get(piece[1:-1], '[^/]+')})" if piece.startswith("{") else re.escape(piece)
                                  for piece in re.split(r"(\{\w+\})", template)))

    def template_of(self, path):
        """The path of the description that fits, or None. Those without variables come first."""
        return next((template for template, pattern in self._templates if pattern.fullmatch(path)), None)

    def fault_of_content(self, schema, text):
        key = json.dumps(schema, sort_keys=True), text
        if key in self._passed:
            return None
        try:
            value = json.loads(text)
        except ValueError as error:
            return f"its content is not JSON: {error}"
        fault = self.fault_of_value(schema, value)
        if fault is None and len(self._passed) < 10000 and len(text) < 10000:
            self._passed.add(key)
        return fault

    def fault_of_value(self, schema, value):
        validator = self.jsonschema.Draft202012Validator(schema, resolver=self._resolver)
        error = self.jsonschema.exceptions.best_match(validator.iter_errors(value))
        return error and f"at {error.json_path}: {error.message[:500]}"

    def fault_of_headers(self, described, headers):
        for name, header in described.items():
            header = self.resolved(header)
            value = headers.get(name)
            if value is None and header.get("required"):
                return f"it has no header {name}"
            if value is not None and (fault := self.fault_of_value(header["schema"], value)):
                return f"its header {name} is not as described: {fault}"
        known = {name.lower() for name in described}
        found = [name for name in headers if name.lower() in OWN_HEADERS and name.lower() not in known]
        return f"its header {found[0]} is not described" if found else None

    def fault_of_answer(self, template, method, status, headers, content):
        """Why an answer is not as described, in words; None if it is."""
        item = self.checked["paths"][template]
        operation = item.get("get" if method == "HEAD" else method.lower())
        if operation is None:
            if method == "OPTIONS" and status == 204:
                return self.fault_of_headers({"Allow": {"$ref": "#/components/headers/Allow"}}, headers)
            if status not in (405, 403):
                return "the method is not described, and its status is neither 405 nor 403"
            name = "MethodNotAllowed" if status == 405 else "Forbidden"
            described = self.checked["components"]["responses"][name]
        else:
            described = operation["responses"].get(str(status))
            if described is None:
                return "its status is not described"
        described = self.resolved(described)
        if fault := self.fault_of_headers(described.get("headers", {}), headers):
            return fault
        if "content" not in described:
            return "it has content, and none is described" if content else None
        kind = headers.get("Content-Type", "").partition(";")[0]
        if kind not in described["content"]:
            return f"its type {kind!r} is not described"
        if method == "HEAD":
            return "an answer to HEAD has no content" if content else None
        if kind == "text/event-stream":
            return None
        schema = described["content"][kind]["schema"]
        fault = self.fault_of_content(schema, content)
        if fault is None and kind == "application/problem+json" and json.loads(content)["status"] != status:
            fault = "the problem's status is another one"
        return fault

    def fault_of_request(self, template, method, content):
        """Why the content of a request that was accepted is not as described."""
        described = self.checked["paths"][template].get(method.lower(), {}).get("requestBody")
        if described is None or not isinstance(content, (bytes, str)) or not content:
            return None
        return self.fault_of_content(self.resolved(described)["content"]["application/json"]["schema"], content)


_descriptions = {}


def description(dialect=""):
    if dialect not in _descriptions:
        _descriptions[dialect] = Description(dialect)
    return _descriptions[dialect]


def locations_of(nginx):
    """(base, dialect) of each rollout_api in its configuration, the longest base first."""
    found = set()
    for arguments in re.findall(r"^[^#\n]*\brollout_api\b([^;]*);", nginx.conf.read_text(), re.M):
        given = dict(argument.split("=", 1) for argument in shlex.split(arguments))
        found.add((given.get("base", ""), given.get("dialect", "")))
    return sorted(found, key=lambda one: (-len(one[0]), one))


def check_answer(port, method, target, sent, status, headers, content):
    """Raises if an answer of the API is not as described. What is not the API's is not looked at. `headers` knows no case, as
    http.client's."""
    nginx = _nginx_of_port.get(port)
    if nginx is None or str(nginx.pieces["socket"]) in _pretended or not nginx.conf.exists():
        return
    if headers.get("Content-Encoding") == "gzip" and content:
        content = gzip.decompress(content)
    path = urllib.parse.unquote(target.partition("?")[0])
    if "\0" in path or "%2f" in target.partition("?")[0].lower():
        return  # nginx itself refuses that before it looks for a location; no route has an escaped slash
    if {".", ".."} & set(path.split("/")):
        path = posixpath.normpath(path)
    if status == 400 and any(words in content for words in (b"SSL certificate", b"plain HTTP request")):
        return  # nor does it look for one if the connection itself is refused
    for base, dialect in locations_of(nginx):
        of = description(dialect)
        template = path.startswith(base + "/") and of.template_of(path[len(base):])
        if not template:
            continue
        fault = of.fault_of_answer(template, method, status, headers, content)
        if fault is None and status in (200, 202) and method == "POST":
            fault = of.fault_of_request(template, method, sent)
            fault = fault and f"the request, which was accepted, is not as described: {fault}"
        if fault:
            faults.append(f"{method} {target} was answered {status}, and module/openapi.json says otherwise ({template}): {fault}\n"
                          f"{dict(headers.items())} {content[:2000]!r}")
            raise AssertionError(faults[-1])
        return
