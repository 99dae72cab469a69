"""JSON schemas as Python's types, as bentofn's own client takes and gives the values."""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.packager.clients.header import lines_of
from bentofn.packager.clients.names import is_identifier
from bentofn.packager.clients.schemas import Schema
from bentofn.packager.clients.types import TYPES

_PLAIN = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}
_TENSORS = {
    "numpy-array": ("numpy", "numpy.ndarray[Any, Any]"),
    "torch-tensor": ("torch", "torch.Tensor"),
}


class PythonTypes:
    """Writes types, and remembers what has to be imported for them, as ``libraries``."""

    def __init__(self) -> None:
        self.libraries: set[str] = set()

    def type_of(self, schema: Schema, *, is_sent: bool) -> str:
        """The type of a schema's values.

        Args:
            schema: It; its objects are references.
            is_sent: Whether the values are given to the client, which takes more than it returns.
        """
        if "$ref" in schema:
            return str(schema["$ref"]).removeprefix(TYPES)
        if "const" in schema:
            return _literal([schema["const"]])
        if isinstance(schema.get("enum"), list):
            return _literal(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self._union([self.type_of(each, is_sent=is_sent) for each in schema[key]])
        every = schema.get("allOf")
        if every:
            return self.type_of(every[0], is_sent=is_sent) if len(every) == 1 else "Any"
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union(
                [self.type_of({**schema, "type": each}, is_sent=is_sent) for each in kind]
            )
        return self._of_kind(str(kind), schema, is_sent=is_sent)

    def _of_kind(self, kind: str, schema: Schema, *, is_sent: bool) -> str:
        if kind == "string" and schema.get("format") == "binary":
            return "bytes | str" if is_sent else "bytes"
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind == "array":
            items = self._items(schema, is_sent=is_sent)
            return f"Sequence[{items}]" if is_sent else f"list[{items}]"
        if kind == "object":
            values = self.type_of(schema.get("additionalProperties", {}), is_sent=is_sent)
            return f"Mapping[str, {values}]" if is_sent else f"dict[str, {values}]"
        if kind == "tensor":
            return self._tensor(schema, is_sent=is_sent)
        if kind == "dataframe":
            self.libraries.add("pandas")
            return "pandas.DataFrame" + (" | Sequence[Any] | Mapping[str, Any]" * is_sent)
        if kind == "file":
            return self._file(schema, is_sent=is_sent)
        return "Any"

    def _items(self, schema: Schema, *, is_sent: bool) -> str:
        several = schema.get("prefixItems") or [schema.get("items", {})]
        return self._union([self.type_of(each, is_sent=is_sent) for each in several])

    def _tensor(self, schema: Schema, *, is_sent: bool) -> str:
        library, name = _TENSORS.get(str(schema.get("format")), ("", "Any"))
        if library:
            self.libraries.add(library)
        return f"{name} | Sequence[Any]" if is_sent and library else name

    def _file(self, schema: Schema, *, is_sent: bool) -> str:
        if not schema.get("pil"):
            return "File" if is_sent else "Path"
        self.libraries.add("PIL.Image")
        return "PIL.Image.Image | File" if is_sent else "PIL.Image.Image"

    def declaration(self, name: str, schema: Schema, *, is_sent: bool) -> str:
        """The declaration of a named type; of what is only received, fields with a default are
        always there.
        """
        properties: Mapping[str, Schema] = schema.get("properties", {})
        if not properties:
            return f'{name}: TypeAlias = "{_quoted(self.type_of(schema, is_sent=is_sent))}"\n'
        required = set(schema.get("required", ()))
        if not is_sent:
            required |= {field for field, each in properties.items() if "default" in each}
        fields = {}
        for field in sorted(properties, key=lambda each: (each not in required, each)):
            type_ = self.type_of(properties[field], is_sent=is_sent)
            fields[field] = type_ if field in required else f"NotRequired[{type_}]"
        if all(map(_is_field, fields)):
            lines = [
                f"class {name}(TypedDict):\n",
                docstring(schema.get("description", ""), "    "),
            ]
            for field, type_ in fields.items():
                lines.append(f"    {field}: {type_}\n")
            return "".join(lines)
        listed = "".join(
            f'    {string(field)}: "{_quoted(type_)}",\n' for field, type_ in fields.items()
        )
        return f"{name} = TypedDict({string(name)}, {{\n{listed}}})\n"

    @staticmethod
    def _union(types: list[str]) -> str:
        return " | ".join(dict.fromkeys(types)) or "Never"


def _is_field(name: str) -> bool:
    """Whether a name can stand in a class as it is."""
    return is_identifier(name) and not name.startswith("__")


def _literal(values: list[object]) -> str:
    plain = [each for each in values if each is None or isinstance(each, (str, int, bool))]
    if len(plain) != len(values) or not values:  # such as numbers with a point
        return "Any"
    written = [string(each) if isinstance(each, str) else repr(each) for each in values]
    return f"Literal[{', '.join(written)}]"


def _quoted(type_: str) -> str:
    """A type as the inside of a string."""
    return type_.replace("\\", "\\\\").replace('"', '\\"')


def string(text: str) -> str:
    """A text as a literal, in double quotes where it holds none."""
    written = repr(text)
    return written if '"' in text else f'"{written[1:-1]}"'


def docstring(text: object, indent: str) -> str:
    """A documentation string; nothing for an empty text."""
    lines = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines_of(text)]
    if not lines:
        return ""
    if len(lines) == 1:
        return f'{indent}"""{lines[0].strip()}"""\n'
    body = "".join(f"{indent}{line}".rstrip() + "\n" for line in lines[1:])
    return f'{indent}"""{lines[0].strip()}\n{body}{indent}"""\n'
