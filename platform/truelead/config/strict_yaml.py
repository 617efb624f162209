"""YAML in which a key stands once: of two values for one key, YAML readers drop one in silence."""

from __future__ import annotations

from typing import Any

import yaml


class RepeatedKey(yaml.YAMLError):
    """A mapping holds a key twice; the message names both lines."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for repeated keys.

    They are looked for as the text is parsed: a mapping into which another is merged ("<<") may
    override its keys, and holds no key twice by that.
    """

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        first_line: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in first_line:
                raise RepeatedKey(
                    f"line {line}: {key.value!r}: expected each key once, "
                    f"found it in line {first_line[name]} too"
                )
            first_line[name] = line
        return node


def read_yaml(text: str) -> Any:
    """The values of one YAML document, built of plain types only.

    Raises:
        RepeatedKey: a mapping holds a key twice.
        yaml.YAMLError: the text is no YAML, or is more than one document.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
